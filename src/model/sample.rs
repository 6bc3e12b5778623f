//! What one moment shows of a running domain's QEMU and of its host. Counters count since their own beginning, so only
//! the difference between two samples means something.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CpuSet, ExitTarget, PciAddress, Reading, Size};

/// The unit of times in `/proc/stat` and `/proc/PID/stat`: `USER_HZ`, 100 on every architecture that has KVM for x86.
pub const TICKS_PER_SECOND: u64 = 100;

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Since the host's start.
    pub at: Duration,
    /// QEMU's threads.
    pub threads: Vec<Thread>,
    /// The threads of all other processes, and of the kernel.
    pub others: Reading<Vec<Thread>>,
    /// The times of each host CPU.
    pub cpus: BTreeMap<u32, CpuTimes>,
    /// How often each interrupt came, on which host CPU.
    pub interrupts: Reading<Vec<Interrupts>>,
    /// The same for what the kernel does behind them.
    pub softirqs: Reading<Vec<Interrupts>>,
    /// The idle states of each host CPU; none where it has no driver for them.
    pub idle: BTreeMap<u32, Vec<IdleState>>,
    /// KVM's counters of the virtual machine by their names in debugfs.
    pub kvm: Reading<BTreeMap<String, u64>>,
    /// What limits the time of the virtual CPUs, the innermost control group first.
    pub quotas: Reading<Vec<CpuQuota>>,
    /// Those of the passed functions.
    pub links: Vec<Link>,
    /// How fast these host CPUs run, in kHz; none where the kernel does not say it.
    pub khz: BTreeMap<u32, u64>,
    /// How often heat or power slowed these down; none where the kernel does not count it.
    pub throttled: BTreeMap<u32, u64>,
}

/// A thread at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub pid: u32,
    pub tid: u32,
    /// Since the host's start, in ticks: with the number it identifies the thread.
    pub started: u64,
    pub name: String,
    pub is_kernel: bool,
    /// Whether the kernel lets nobody change on which host CPUs it runs.
    pub is_fixed: bool,
    /// The host CPU that it runs on, or ran on last.
    pub cpu: u32,
    /// In ticks; contains the time in the guest.
    pub user: u64,
    pub system: u64,
    pub guest: u64,
    /// In nanoseconds; `None` where the kernel does not count it.
    pub ran: Option<u64>,
    /// How long it could have run and no CPU was free, in nanoseconds; likewise.
    pub waited: Option<u64>,
    /// How often it was taken off its CPU; only of QEMU's threads.
    pub preempted: Option<u64>,
    /// The host CPUs that it may use; only of QEMU's threads.
    pub allowed: Option<CpuSet>,
}

impl Thread {
    /// The number of a virtual CPU, by the name of its thread: `CPU 0/KVM` (`kvm_start_vcpu_thread` of QEMU).
    pub fn vcpu(&self) -> Option<u32> {
        self.name.strip_prefix("CPU ")?.strip_suffix("/KVM")?.parse().ok()
    }
}

/// How much time on host CPUs a control group lets its threads have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuQuota {
    /// Its path below that of all groups.
    pub group: String,
    /// The virtual CPUs in it, by their threads.
    pub threads: BTreeSet<u32>,
    /// Of one host CPU.
    pub percent: u64,
    /// How long it held them back until now, each host CPU by itself; `None` where the kernel does not say.
    pub held: Option<Duration>,
}

/// The times of a host CPU, in ticks (proc(5), `/proc/stat`). User time contains the guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    pub user: u64,
    pub system: u64,
    pub idle: u64,
    pub interrupts: u64,
    pub softirqs: u64,
    /// What the hypervisor below this host took.
    pub steal: u64,
    pub guest: u64,
}

/// An idle state of a host CPU (Documentation/admin-guide/pm/cpuidle.rst).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleState {
    /// `POLL`, `C1`, `C6`.
    pub name: String,
    /// How long it takes to leave it, in microseconds.
    pub latency: u64,
    /// How often it was left.
    pub used: u64,
}

/// A line of `/proc/interrupts` or `/proc/softirqs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupts {
    /// A number, or the kernel's abbreviation: `LOC`, `PIN`.
    pub name: String,
    /// The controller and the devices, or the meaning of the abbreviation.
    pub about: String,
    pub counts: BTreeMap<u32, u64>,
}

/// What holds for the whole measurement, read at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    pub memory: Reading<GuestMemory>,
    /// How much of it is pinned for devices, or locked.
    pub pinned: Reading<Size>,
    /// What of it is in swap.
    pub swapped: Reading<Size>,
    /// Whether KVM may deliver interrupts without an exit (`enable_apicv` of `kvm_intel`, `avic` of `kvm_amd`).
    pub posts_interrupts: Reading<bool>,
    /// How the kernel lets idle links sleep (`policy` of `pcie_aspm`), if it does.
    pub aspm_policy: Reading<String>,
    /// What the guest's agent says.
    pub agent: Reading<GuestClock>,
    /// Why the virtual CPUs left the guest.
    pub exit_reasons: Reading<ExitReasons>,
    pub frequencies: BTreeMap<u32, Frequency>,
    /// What switches the processors' highest frequencies off, where something does.
    pub turbo_off: Option<TurboOff>,
    /// How long a host CPU waits at most for a virtual CPU to have something to do again before it sleeps
    /// (`halt_poll_ns` of kvm), in nanoseconds.
    pub halt_polling: Reading<u64>,
    /// What KSM merged of QEMU's memory; absent where KSM is off and has left nothing merged.
    pub merged: Reading<Size>,
    /// QEMU's and libvirt's, where they are known.
    pub versions: Vec<(String, String)>,
}

/// The guest's clock beside the host's, as the guest's agent says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestClock {
    /// How long the measurement was in the guest, and on the host.
    pub guest: Duration,
    pub host: Duration,
}

/// What the kernel counted for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReasons {
    pub time: Duration,
    /// How often each thread left the guest, by the kernel's names of the reasons.
    pub counts: BTreeMap<u32, BTreeMap<String, u64>>,
    /// How often it did so for which port, register or address.
    pub targets: BTreeMap<u32, BTreeMap<ExitTarget, u64>>,
}

/// What is behind QEMU's memory, most of which is the guest's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GuestMemory {
    /// In pages of hugetlbfs, by the size of the page.
    pub reserved: BTreeMap<Size, Size>,
    /// In huge pages that the kernel formed by itself.
    pub transparent: Size,
    /// All other memory that is resident.
    pub ordinary: Size,
    /// The resident memory by NUMA node.
    pub nodes: BTreeMap<u32, Size>,
}

impl GuestMemory {
    /// What is in reserved huge pages, in bytes.
    pub fn in_reserved_pages(&self) -> u64 {
        self.reserved.values().fold(0, |sum, size| sum.saturating_add(size.bytes()))
    }

    pub fn in_huge_pages(&self) -> u64 {
        self.in_reserved_pages().saturating_add(self.transparent.bytes())
    }

    pub fn resident(&self) -> u64 {
        self.in_huge_pages().saturating_add(self.ordinary.bytes())
    }
}

/// A PCI Express link on the way to a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    pub address: PciAddress,
    /// The switch above the function whose link it is; `None` for the function's own.
    #[serde(default)]
    pub switch: Option<PciAddress>,
    /// The physical function whose link it is, of a virtual one.
    #[serde(default)]
    pub physical_function: Option<PciAddress>,
    /// In MT/s; `None` where the function has no link, or its speed is unknown.
    pub speed: Option<u64>,
    pub width: Option<u64>,
    /// The most that both the function and the port above it can do.
    pub most_speed: Option<u64>,
    pub most_width: Option<u64>,
    /// Whether the port, not the function, is what limits it to this.
    pub is_limited_by_port: bool,
    /// The states in which it may sleep when it is idle: `L0s`, `L1`, `L1.2`; `None` where the kernel does not say.
    pub sleeps: Option<Vec<String>>,
}

/// A file of the kernel that keeps processors from their highest frequencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurboOff {
    pub file: String,
    /// What has to be in it for these.
    pub on: &'static str,
}

/// How fast a host CPU may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequency {
    pub governor: String,
    /// What sets it (`scaling_driver`), and what that prefers (`energy_performance_preference`).
    pub driver: Option<String>,
    pub preference: Option<String>,
    pub most_khz: Option<u64>,
    /// How high it may be by the host's settings (`scaling_max_freq`).
    pub limit_khz: Option<u64>,
}

impl Frequency {
    /// Whether the processor chooses it by the load, also with the governor `powersave` (Documentation/admin-guide/pm/intel_pstate.rst
    /// and amd-pstate.rst, active mode).
    pub fn follows_load(&self) -> bool {
        self.governor == "powersave" && self.driver.as_ref().is_some_and(|driver| driver == "intel_pstate" || driver == "amd-pstate-epp")
    }

    /// Whether it is set to be as high as the processor can.
    pub fn is_fast(&self) -> bool {
        self.governor == "performance" || (self.follows_load() && self.preference.as_deref() == Some("performance"))
    }
}
