//! What was measured, for the judgements.

use std::collections::BTreeMap;

use crate::measure::differences::{Held, SharedLine};
use crate::measure::measured::{CoreTimes, IdleState, InterruptRate, Load, Subject, VcpuTimes};
use crate::model::{BOOT_CPU, CpuSet, Link, PciAddress, Reading, Surroundings, Thread, shell_word};

/// What is said of settings in `/sys`.
pub(super) const UNTIL_BOOT: &str = "that counts until the host boots again";
/// Percent of a host CPU below which nothing is reported.
pub(super) const LITTLE: f64 = 1.0;
/// Percent of a virtual CPU's time from which the guest works there.
pub(in crate::measure) const BUSY: f64 = 20.0;

/// What was measured.
pub(in crate::measure) struct Seen<'a> {
    pub(in crate::measure) subject: &'a Subject<'a>,
    /// The host CPUs of the virtual ones.
    pub(in crate::measure) cpus: &'a CpuSet,
    pub(in crate::measure) vcpus: &'a [VcpuTimes],
    /// QEMU's threads, at the end.
    pub(in crate::measure) threads: &'a [Thread],
    pub(in crate::measure) cores: &'a [CoreTimes],
    /// Those on which a virtual CPU worked.
    pub(in crate::measure) busy: &'a CpuSet,
    /// The idle state of these that costs most.
    pub(in crate::measure) idle: Option<IdleState>,
    pub(in crate::measure) loads: &'a Reading<Vec<Load>>,
    /// What threads that were not seen ran there, by the kernel's count: the most of a host CPU.
    pub(in crate::measure) unseen: f64,
    /// What ran beside them, on the other threads of their cores.
    pub(in crate::measure) beside: &'a Reading<Vec<Load>>,
    /// These.
    pub(in crate::measure) siblings: &'a CpuSet,
    /// What quotas kept from the virtual CPUs.
    pub(in crate::measure) held: &'a Reading<Vec<Held<'a>>>,
    /// How often heat or power slowed the host CPUs down; `None` where the kernel does not count it.
    pub(in crate::measure) throttled: Option<u64>,
    pub(in crate::measure) links: &'a [Link],
    pub(in crate::measure) exits: &'a Reading<BTreeMap<String, f64>>,
    /// Those of each passed function that the host handled a second, on all host CPUs; `None` where they are unknown.
    pub(in crate::measure) own_interrupts: Option<BTreeMap<PciAddress, f64>>,
    /// The lines that passed functions share.
    pub(in crate::measure) shared_lines: Vec<SharedLine>,
    /// `None` where they are unknown.
    pub(in crate::measure) interrupts: Option<&'a [InterruptRate]>,
    /// What the kernel did there besides its threads.
    pub(in crate::measure) softirqs: Vec<InterruptRate>,
    pub(in crate::measure) surroundings: &'a Surroundings,
}

impl Seen<'_> {
    pub(super) fn name(&self) -> String {
        shell_word(self.subject.name)
    }

    /// Whether its virtual CPUs have host CPUs of their own; unknown pins are none.
    pub(super) fn is_pinned(&self) -> bool {
        self.subject.pins.as_ref().is_ok_and(|pins| !pins.is_empty())
    }

    /// Whether the guest does much.
    pub(super) fn is_busy(&self) -> bool {
        !self.busy.0.is_empty()
    }

    /// The host CPUs that are left to the host.
    pub(super) fn rest(&self) -> CpuSet {
        CpuSet(self.subject.online.0.difference(&self.cpus.0).copied().collect())
    }

    /// Those of them that are on cores of their own.
    pub(super) fn apart(&self) -> CpuSet {
        CpuSet(self.rest().0.difference(&self.siblings.0).copied().collect())
    }

    /// Where the host's threads and QEMU's own best run: these, or all that are left where there are none.
    pub(super) fn spare(&self) -> CpuSet {
        let apart = self.apart();
        if apart.0.is_empty() { self.rest() } else { apart }
    }

    /// What keeps the host's work off the guest's cores from the boot on; whole cores are isolated, and the host keeps that
    /// of the CPU on which it boots.
    pub(super) fn isolate(&self) -> Option<String> {
        let cores = CpuSet(self.cpus.0.union(&self.siblings.0).copied().collect());
        (!cores.0.contains(&BOOT_CPU) && !self.apart().0.is_empty()).then(|| format!("vgapt prepare --isolate {cores}"))
    }

    /// That vgapt's hook does the same at each start, where it does.
    pub(super) fn by_hook(&self, what: &str) -> String {
        if self.subject.moves_interrupts.is_some() {
            return format!("from the next start vgapt's hook does that{what}: vgapt prepare");
        }
        format!("vgapt's hook does that{what} at each start of a domain that vgapt has pinned: vgapt define {} --pin", self.name())
    }

    /// What virsh is to do with the domain: `vcpupin`.
    pub(super) fn virsh(&self, what: &str, rest: &str) -> String {
        format!("{} {what} {} {rest}", self.subject.virsh, self.name())
    }

    /// The longest wait of a virtual CPU in percent; `None` where the kernel does not count it.
    pub(super) fn waited(&self) -> Option<f64> {
        self.vcpus.iter().map(|vcpu| vcpu.waited).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
    }

    /// What gives each virtual CPU host CPUs of its own.
    pub(super) fn pinned_or_fewer(&self) -> Option<String> {
        match &self.subject.pinnable {
            Ok(_) => Some(self.pin()),
            Err(Some(most @ 1..)) => Some(self.restarted(&format!("vgapt define {} --cpus {most} --pin", self.name()))),
            Err(_) => None,
        }
    }

    pub(super) fn pin(&self) -> String {
        self.restarted(&format!("vgapt define {} --pin", self.name()))
    }

    /// A change of the definition, which counts from the next start.
    pub(super) fn restarted(&self, change: &str) -> String {
        format!("{change} && vgapt stop {name} && vgapt start {name}", name = self.name())
    }
}

pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    words.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
