//! What a measurement found.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::numbers::rounded;
use crate::model::{CellPlace, Clocks, CpuSet, ExitTarget, GuestMemory, Link, OwnPins, PciAddress, Size};
use crate::topology::{Core, Pinning};

/// What is known of the domain and its host before anything is measured.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub name: &'a str,
    /// The host CPUs of each virtual CPU; empty where none is pinned, and why they are unknown.
    pub pins: Result<BTreeMap<u32, CpuSet>, String>,
    /// The host CPUs that are online.
    pub online: CpuSet,
    /// The host CPUs of QEMU's own threads, likewise.
    pub own_pins: Result<OwnPins, String>,
    /// The NUMA node of each host CPU, where the host has several nodes.
    pub nodes: BTreeMap<u32, u32>,
    /// The NUMA nodes that the guest sees, if it sees any, and why they are unknown.
    pub cells: Result<Vec<CellPlace>, String>,
    /// The NUMA nodes of the passed functions, where the host has several and says it.
    pub function_nodes: BTreeMap<PciAddress, u32>,
    /// The host CPUs among which the kernel does not distribute threads.
    pub isolated: CpuSet,
    /// Those whose tick is off while a thread is alone there.
    pub tickless: CpuSet,
    /// The clocks that the guest finds.
    pub clocks: Clocks,
    /// Whether the guest's processor does not tell which threads share a core, whatever the topology says.
    pub hides_cores: bool,
    /// How many virtual CPUs share an L3 cache, as it sees them; `None` where that is unknown.
    pub of_a_cache: Option<u32>,
    /// How many threads of a core the guest sees.
    pub threads: u32,
    /// How it would be pinned; else for how many virtual CPUs the host has cores, where that is known.
    pub pinnable: Result<Pinning, Option<u32>>,
    /// Whether vgapt's hook moves the host's interrupts off these; `None` where vgapt does not manage the domain, or that is unknown.
    pub moves_interrupts: Option<bool>,
    /// The numbers of those that the kernel did not let it move.
    pub fixed: Vec<String>,
    /// Which interrupts it left where they were, and why.
    pub left_interrupts: Vec<String>,
    /// The same of processes.
    pub left_processes: Vec<String>,
    /// The functions that are passed through to it.
    pub functions: Vec<PciAddress>,
    /// The host's.
    pub cores: Vec<Core>,
    /// How much memory the guest has, where that is known.
    pub memory: Option<Size>,
    /// The process that measures, where that is on this host.
    pub own: Option<u32>,
    /// The command that runs virsh with this libvirt.
    pub virsh: String,
}

/// A measurement. What is unknown is null or missing, and a judgement says why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    pub name: String,
    /// How long it lasted.
    pub seconds: f64,
    /// The worst first.
    pub judgements: Vec<Judgement>,
    pub vcpus: Vec<VcpuTimes>,
    /// The host CPUs that the virtual ones use.
    pub cores: Vec<CoreTimes>,
    /// KVM's counters by their names: the difference per second.
    pub exits: Option<BTreeMap<String, f64>>,
    /// What else ran there, the most first.
    pub loads: Option<Vec<Load>>,
    /// Interrupts there, the most first.
    pub interrupts: Option<Vec<InterruptRate>>,
    pub memory: Option<GuestMemory>,
    /// How much of it is pinned for devices, or locked.
    #[serde(default)]
    pub pinned: Option<Size>,
    /// What of it is in swap.
    #[serde(default)]
    pub swapped: Option<Size>,
    pub links: Vec<Link>,
    /// The idle state of the guest's host CPUs that cost most, if they have any.
    #[serde(default)]
    pub idle: Option<IdleState>,
    /// The quotas of CPU time that virtual CPUs have; `None` where that is unknown.
    #[serde(default)]
    pub quotas: Option<Vec<Quota>>,
    /// The guest's clock beside the host's, where its agent says it.
    #[serde(default)]
    pub guest_clock: Option<ClockTimes>,
    /// The versions of QEMU and libvirt.
    pub versions: BTreeMap<String, String>,
    /// The same in slices of time.
    pub moments: Vec<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It costs the guest speed.
    Costs,
    Unknown,
    Good,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// Stable identifier for programs.
    pub code: String,
    pub verdict: Verdict,
    pub subject: String,
    /// What was measured; if unknown, why.
    pub seen: String,
    /// About how much of the time of a virtual CPU it costs, in percent, where that was measured.
    pub costs_percent: Option<f64>,
    /// The same where it is only estimated.
    #[serde(default)]
    pub perhaps_percent: Option<f64>,
    /// What to do, in words; besides the command, if there is one. Both are empty if nothing can be done.
    pub remedy: String,
    /// What to do, as a command.
    #[serde(default)]
    pub command: Option<String>,
    /// How much it matters beside others that cost something.
    #[serde(skip)]
    pub(super) weight: f64,
}

impl Judgement {
    pub(super) fn good(code: &str, subject: &str, seen: impl Into<String>) -> Self {
        let (code, subject) = (code.to_owned(), subject.to_owned());
        Self {
            code,
            verdict: Verdict::Good,
            subject,
            seen: seen.into(),
            costs_percent: None,
            perhaps_percent: None,
            remedy: String::new(),
            command: None,
            weight: 0.0,
        }
    }

    pub(super) fn unknown(code: &str, subject: &str, because: &str) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::good(code, subject, format!("because {because}")) }
    }

    /// The same as one that costs about so many percent of a virtual CPU's time: an estimate, unless that was measured.
    pub(super) fn costs(self, percent: f64) -> Self {
        let perhaps_percent = Some(rounded(percent)).filter(|percent| self.costs_percent.is_none() && *percent > 0.0);
        Self { perhaps_percent, ..self.weighs(percent) }
    }

    /// The same as one that costs speed, nobody knows how much; `weight` is its rank.
    pub(super) fn weighs(self, weight: f64) -> Self {
        Self { verdict: Verdict::Costs, weight, ..self }
    }

    /// The same with what to do, in words.
    pub(super) fn by(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// The same with a command that does it, if there is one.
    pub(super) fn by_command(self, command: impl Into<Option<String>>) -> Self {
        Self { command: command.into(), ..self }
    }

    /// Whether anything can be done.
    pub fn has_remedy(&self) -> bool {
        self.command.is_some() || !self.remedy.is_empty()
    }

    /// The same as one that cost so many percent of a virtual CPU's time, which was measured.
    pub(super) fn took(self, percent: f64) -> Self {
        self.percent(rounded(percent)).costs(percent)
    }

    /// The same where the share of the time was measured.
    pub(super) fn percent(self, percent: f64) -> Self {
        Self { costs_percent: Some(percent), perhaps_percent: None, ..self }
    }
}

/// The thread of a virtual CPU, in percent of the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VcpuTimes {
    pub vcpu: u32,
    pub thread: u32,
    /// The host CPUs that it may use.
    pub allowed: Option<CpuSet>,
    /// Those on which it was seen.
    pub ran_on: CpuSet,
    /// In the guest.
    pub guest: f64,
    /// In the host, for the guest: exits and emulation.
    pub host: f64,
    /// It could have run, and no host CPU was free.
    pub waited: Option<f64>,
    /// How often a second it was taken off its host CPU.
    pub preempted: Option<f64>,
    /// How often a second it left the guest, by the kernel's names of the reasons.
    pub reasons: Option<BTreeMap<String, f64>>,
    /// How often a second it did so for which port, register or address of an emulated device.
    #[serde(default)]
    pub exit_targets: Option<BTreeMap<ExitTarget, f64>>,
}

/// A host CPU, in percent of the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreTimes {
    pub cpu: u32,
    pub guest: f64,
    /// The host's programs and kernel, for the guest or not.
    pub host: f64,
    pub interrupts: f64,
    pub softirqs: f64,
    /// What the hypervisor below this host took.
    pub steal: f64,
    pub idle: f64,
    /// Interrupts of its timer a second.
    pub timer: Option<f64>,
    /// How fast it was while it worked, in MHz; only of the whole time, and where the kernel says it.
    #[serde(default)]
    pub mhz: Option<u64>,
    /// How fast it can be, likewise.
    #[serde(default)]
    pub most_mhz: Option<u64>,
}

/// An idle state of a host CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleState {
    pub name: String,
    /// How often a second one of these host CPUs left it.
    pub per_second: f64,
    /// How long that takes at most, in microseconds.
    pub microseconds: f64,
}

impl IdleState {
    /// How much of the time of a host CPU that takes at most.
    pub(super) fn percent(&self) -> f64 {
        rounded(self.per_second * self.microseconds / 10_000.0)
    }
}

/// A quota of CPU time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// The control group, by its path.
    pub group: String,
    /// How much of one host CPU its threads may have together, in percent.
    pub percent: u64,
    /// For how much of the time it held them back, in percent; `None` where that is unknown.
    pub held: Option<f64>,
}

/// How long the measurement was by two clocks, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockTimes {
    pub guest: f64,
    pub host: f64,
}

/// A thread of the host that ran on one of these host CPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    pub pid: u32,
    pub thread: u32,
    pub name: String,
    pub is_kernel: bool,
    /// Whether the kernel lets nobody move it.
    #[serde(default)]
    pub is_fixed: bool,
    /// Whether it is one of this QEMU's.
    pub is_own: bool,
    pub cpu: u32,
    /// In percent of the time.
    pub ran: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterruptRate {
    /// A number, or the kernel's abbreviation.
    pub name: String,
    pub about: String,
    /// Those of these host CPUs that had it.
    pub cpus: CpuSet,
    pub per_second: f64,
    /// Whether it is one of a function that is passed through to the domain.
    pub is_own: bool,
}

impl InterruptRate {
    /// Whether a device of the host has it, not a passed one and not the kernel itself.
    pub(super) fn is_of_host_device(&self) -> bool {
        !self.is_own && self.name.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// A slice of the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// When it ended, in seconds since the beginning.
    pub end: f64,
    pub cores: Vec<CoreTimes>,
    /// Exits a second.
    pub exits: Option<f64>,
}
