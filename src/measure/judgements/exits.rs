//! Exits: how often and why the virtual CPUs left the guest, and how much of their time that took.

use std::collections::BTreeMap;

use super::seen::{LITTLE, Seen, UNTIL_BOOT, listed};
use super::targets::{Kind, kind, shown, targets};
use crate::measure::measured::{Judgement, VcpuTimes};
use crate::measure::numbers::rounded;
use crate::model::{ExitTarget, Reading};

/// Exits a second from which the host's part of a virtual CPU's time is reported, or its halts.
pub(super) const MANY_EXITS: f64 = 1000.0;
/// Percent of a virtual CPU's time in the host from which it is reported.
const MUCH_HOST: f64 = 5.0;
/// How many reasons are named, and of what they are for.
const NAMED: usize = 4;
const NAMED_TARGETS: usize = 3;

const HALTS: &[&str] = &["hlt", "mwait_instruction", "mwait", "halt_exits"];
const PORTS: &[&str] = &["io_instruction", "io", "io_exits"];
const MEMORY: &[&str] = &["ept_misconfig", "mmio_exits"];
const MEMORY_OR_MISSING: &[&str] = &["npf"];
const WAITS: &[&str] = &["pause_instruction", "pause"];
/// What an emulated device is for.
const DEVICES: [&[&str]; 3] = [PORTS, MEMORY, MEMORY_OR_MISSING];

/// What reasons mean, in the names of Intel's and AMD's processors (arch/x86/include/uapi/asm/vmx.h and svm.h), in small
/// letters, and of KVM's own counters (`kvm_vcpu_stats_desc` of arch/x86/kvm/x86.c).
const MEANINGS: [(&[&str], &str); 13] = [
    (HALTS, "it had nothing to do"),
    (&["external_interrupt", "interrupt", "irq_exits"], "an interrupt of the host, or one for the guest that is not posted"),
    (PORTS, "a port of an emulated device, such as the ACPI timer"),
    (MEMORY, "memory of an emulated device, such as the HPET"),
    (MEMORY_OR_MISSING, "memory of an emulated device, or memory that the host has not given yet"),
    (&["ept_violation"], "memory that the host has not given yet"),
    (&["msr_write", "msr_read", "msr"], "a register of the processor, mostly for the guest's timer"),
    (&["preemption_timer"], "the guest's timer"),
    (WAITS, "it waited for another virtual CPU"),
    (&["interrupt_window", "vintr", "irq_window_exits"], "the guest could not take an interrupt yet"),
    (&["apic_write", "apic_access", "eoi_induced", "avic_incomplete_ipi", "avic_unaccelerated_access"], "the guest's interrupt controller"),
    (&["vmcall", "vmmcall", "hypercalls"], "the guest asked the hypervisor for something"),
    (&["cpuid"], "the guest asked what its processor is"),
];

fn meaning(reason: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(names, _)| is_one_of(names, reason)).map(|(_, meaning)| *meaning)
}

fn is_one_of(names: &[&str], reason: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(reason))
}

/// The most frequent ones, with what they mean.
fn most<'r>(reasons: impl Iterator<Item = (&'r str, f64)>) -> Vec<String> {
    let mut reasons: Vec<(&str, f64)> = reasons.filter(|(_, rate)| *rate > 0.0).collect();
    reasons.sort_by(|one, other| other.1.total_cmp(&one.1));
    let words = |(name, rate): &(&str, f64)| {
        let meaning = meaning(name).map(|meaning| format!(" ({meaning})")).unwrap_or_default();
        format!("{} {rate}{meaning}", name.trim_end_matches("_exits"))
    };
    reasons.iter().take(NAMED).map(words).collect()
}

pub(super) fn exits(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("exits", "exits");
    let none = BTreeMap::new();
    let counters = seen.exits.as_ref().known().filter(|counters| counters.contains_key("exits"));
    let by_reason = by_reason(seen);
    if counters.is_none() && by_reason.is_none() {
        return Judgement::unknown(code, subject, &uncounted(seen));
    }
    let counters = counters.unwrap_or(&none);
    // Counters of other things have other names; that of all exits is no reason.
    let is_reason = |name: &str| name.ends_with("_exits") || ["hypercalls", "pf_taken"].contains(&name);
    let counted = counters.get("exits").copied();
    let total = counted.unwrap_or_else(|| rounded(by_reason.iter().flatten().map(|(_, rate)| rate).sum()));
    let reasons: BTreeMap<String, f64> = by_reason
        .unwrap_or_else(|| counters.iter().filter(|(name, _)| is_reason(name)).map(|(name, rate)| (name.clone(), *rate)).collect());
    let named = most(reasons.iter().map(|(name, rate)| (name.as_str(), *rate)));
    let of = if named.is_empty() { String::new() } else { format!(", of these {}", listed(&named)) };
    let targets: Vec<String> =
        targets(seen).iter().take(NAMED_TARGETS).map(|(target, rate)| format!("{} {rate}", shown(*target))).collect();
    let on = if targets.is_empty() { String::new() } else { format!("; most for {}", listed(&targets)) };
    let polled = rounded(polled(counters) / 1e7);
    // While the host polls, a virtual CPU has nothing to do: each has its part of it in what it does not run.
    let idle = |vcpu: &VcpuTimes| (100.0 - vcpu.guest).max(0.0);
    let all_idle = seen.vcpus.iter().map(idle).sum::<f64>().max(1.0);
    let took = rounded(seen.vcpus.iter().map(|vcpu| vcpu.host - polled * idle(vcpu) / all_idle).fold(0.0, f64::max));
    let polling = format!("; halt polling, which costs the guest nothing, took {polled} % of a host CPU");
    let polling = if polled >= LITTLE { polling } else { String::new() };
    let text = format!("{total} a second{of}{on}; they took up to {took} % of a virtual CPU's time{polling}");
    let judgement = Judgement::good(code, subject, text);
    if total < MANY_EXITS || took < MUCH_HOST {
        return judgement;
    }
    with_remedy(judgement.took(took), seen, &reasons)
}

/// Why nobody counted them.
fn uncounted(seen: &Seen<'_>) -> String {
    match seen.exits {
        Reading::Known(_) => "KVM does not count its exits here".to_owned(),
        Reading::Unknown(because) => format!("{because}: KVM's counters are for root, and with Secure Boot for nobody"),
        Reading::Absent => {
            "KVM has no counters for it in /sys/kernel/debug/kvm: debugfs is not mounted, or QEMU does not use KVM".to_owned()
        }
    }
}

/// The exits of all virtual CPUs by reason, where the kernel counted each of these.
fn by_reason(seen: &Seen<'_>) -> Option<BTreeMap<String, f64>> {
    let mut all = BTreeMap::new();
    for vcpu in seen.vcpus {
        for (name, rate) in vcpu.reasons.as_ref()? {
            *all.entry(name.clone()).or_default() += rate;
        }
    }
    (!all.is_empty()).then_some(all)
}

/// With what takes away most of them, where their most frequent reason tells it.
fn with_remedy(judgement: Judgement, seen: &Seen<'_>, reasons: &BTreeMap<String, f64>) -> Judgement {
    // That it had nothing to do is no fault.
    let often = reasons.iter().filter(|(name, rate)| **rate >= MANY_EXITS && !is_one_of(HALTS, name));
    let worst = often.max_by(|one, other| one.1.total_cmp(other.1));
    let Some((worst, _)) = worst else { return judgement };
    let is_of_device = DEVICES.iter().any(|names| is_one_of(names, worst));
    // A register is never what a port or an address was.
    let is_register = |target: &ExitTarget| matches!(target, ExitTarget::Register(_));
    let most = targets(seen).into_iter().map(|(target, _)| target).find(|target| !is_register(target));
    let may_be_clock = most.is_none_or(|most| kind(most) == Kind::Clock);
    match (&seen.subject.clocks, most) {
        _ if is_one_of(WAITS, worst) && !seen.is_pinned() => judgement.by_command(seen.pinned_or_fewer()),
        _ if !is_of_device => judgement,
        (clocks, _) if may_be_clock && !clocks.kvm && !clocks.hyper_v => judgement
            .by_command(seen.restarted(&format!("vgapt define {} --hide-kvm no", seen.name())))
            .by("a Linux guest then has KVM's clock: it sees neither KVM's nor Hyper-V's, and reads that of an emulated device"),
        (clocks, None | Some(ExitTarget::Memory(_))) if may_be_clock && clocks.hpet => judgement
            .by_command(seen.virsh("edit", "").trim_end().to_owned())
            .by("the guest has an HPET, of which each reading is an exit: <timer name='hpet' present='no'/> in <clock>, and start it anew"),
        (_, Some(_)) if may_be_clock => judgement.by(format!(
            "the guest reads an emulated clock, though it has a better one: see {CLOCK_OF_LINUX} in Linux; in Windows: bcdedit /deletevalue useplatformclock"
        )),
        (_, Some(device)) if kind(device) == Kind::Device => {
            judgement.by("the guest uses an emulated device: give it one of virtio in its place, or none")
        }
        (_, Some(_)) => judgement,
        (_, None) => judgement.by(format!(
            "the guest uses an emulated device: a disk or network card that is not virtio, or a slow clock (in Linux {CLOCK_OF_LINUX})"
        )),
    }
}

/// Where Linux says which clock it reads.
const CLOCK_OF_LINUX: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Those of one kind a second; one that did not grow is not among them.
fn rate(exits: &BTreeMap<String, f64>, name: &str) -> f64 {
    exits.get(name).copied().unwrap_or_default()
}

/// How long the host waited before it let virtual CPUs sleep, in nanoseconds a second (Documentation/virt/kvm/halt-polling.rst).
fn polled(exits: &BTreeMap<String, f64>) -> f64 {
    rate(exits, "halt_poll_success_ns") + rate(exits, "halt_poll_fail_ns")
}

/// The longest halt polling of KVM on x86 by default, in nanoseconds (`KVM_HALT_POLL_NS_DEFAULT`).
const HALT_POLLING: u64 = 200_000;
/// About how long it takes to put a virtual CPU to sleep and to wake it, in microseconds.
const SLEEP: f64 = 10.0;

/// Whether the host waits a little before it lets a virtual CPU without work sleep; only where KVM says it.
pub(super) fn halt_polling(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("halt-polling", "halt polling");
    let longest = match &seen.surroundings.halt_polling {
        Reading::Known(longest) => *longest,
        Reading::Absent => return None,
        Reading::Unknown(because) => return Some(Judgement::unknown(code, subject, because)),
    };
    #[expect(clippy::cast_precision_loss, reason = "a few virtual CPUs")]
    let halts = |exits: &BTreeMap<String, f64>| rounded(rate(exits, "halt_exits") / (seen.vcpus.len().max(1) as f64));
    if longest > 0 && seen.exits.as_ref().known().is_some_and(|exits| halts(exits) >= MANY_EXITS && polled(exits) == 0.0) {
        let because = "KVM may (halt_poll_ns), and counts none for this guest: the guest polls by itself, it was off when the guest started, or this kernel does not count it";
        return Some(Judgement::unknown(code, subject, because));
    }
    if longest > 0 {
        let text = format!("a virtual CPU without work sleeps only after up to {} µs, in which it would go on at once", longest / 1000);
        return Some(Judgement::good(code, subject, text));
    }
    let Reading::Known(exits) = seen.exits else {
        let because = "it is off (halt_poll_ns of kvm is 0), and how often the virtual CPUs had nothing to do could not be read";
        return Some(Judgement::unknown(code, subject, because));
    };
    let each = halts(exits);
    let text = format!("it is off (halt_poll_ns of kvm is 0), and each virtual CPU went to sleep some {each} times a second");
    let judgement = Judgement::good(code, subject, text);
    let command = format!("echo {HALT_POLLING} > /sys/module/kvm/parameters/halt_poll_ns");
    Some(if each < MANY_EXITS {
        judgement
    } else {
        judgement
            .costs(each * SLEEP / 10_000.0)
            .by_command(command)
            .by(format!("{UNTIL_BOOT}; before Linux 6.2 perhaps only for domains that start after it"))
    })
}

/// Why that virtual CPU left the guest that did so most often. What exits cost, the judgement about all of them says.
pub(super) fn reasons(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("exit-reasons", "reasons of exits");
    if let Some(because) = seen.surroundings.exit_reasons.unknown() {
        return Judgement::unknown(code, subject, because);
    }
    let of = |reasons: &BTreeMap<String, f64>| reasons.values().sum::<f64>();
    let known = seen.vcpus.iter().filter_map(|vcpu| Some((vcpu, vcpu.reasons.as_ref()?)));
    let Some((vcpu, reasons)) = known.max_by(|one, other| of(one.1).total_cmp(&of(other.1))) else {
        return Judgement::unknown(code, subject, "none of QEMU's threads is named as that of a virtual CPU");
    };
    let (all, named) = (rounded(of(reasons)), most(reasons.iter().map(|(name, rate)| (name.as_str(), *rate))));
    let words = if named.is_empty() { String::new() } else { format!(": {}", listed(&named)) };
    Judgement::good(code, subject, format!("virtual CPU {} left the guest {all} times a second{words}", vcpu.vcpu))
}
