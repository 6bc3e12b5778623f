//! Interrupts on the host CPUs of the virtual ones.

use super::exits::MANY_EXITS;
use super::seen::{LITTLE, Seen, listed};
use crate::measure::differences::SharedLine;
use crate::measure::measured::{InterruptRate, Judgement};
use crate::measure::numbers::rounded;
use crate::model::Reading;

/// Interrupts a second of one device below which nothing is reported.
const FEW: f64 = 10.0;
/// The kernel's tick is at most 1000 a second (`CONFIG_HZ`).
const TICKS: f64 = 1100.0;

/// Interrupts of the host's devices on the guest's CPUs.
pub(super) fn interrupts(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("interrupts", "interrupts");
    if !seen.is_pinned() {
        return None;
    }
    let Some(interrupts) = seen.interrupts else {
        return Some(Judgement::unknown(code, subject, "/proc/interrupts could not be read"));
    };
    let left: String = seen.subject.left_interrupts.iter().map(|said| format!("; {said}")).collect();
    let devices: Vec<&InterruptRate> = interrupts.iter().filter(|one| one.is_of_host_device()).collect();
    let Some(worst) = devices.first().filter(|worst| worst.per_second >= FEW) else {
        return Some(Judgement::good(code, subject, format!("no device of the host interrupts the guest's host CPUs{left}")));
    };
    let words = |one: &&InterruptRate| format!("{} ({}) {} a second on {}", one.name, one.about, one.per_second, one.cpus);
    let many: Vec<String> = devices.iter().filter(|one| one.per_second >= FEW).take(3).map(words).collect();
    let there = seen.cores.iter().filter(|core| worst.cpus.0.contains(&core.cpu));
    let spent = there.map(|core| core.interrupts + core.softirqs).fold(0.0, f64::max);
    let text = format!("each is an exit of the guest that runs there: {}", listed(&many));
    let weight = spent + worst.per_second * EXIT;
    let judgement = Judgement::good(code, subject, text);
    // What they took was measured where most that came there are theirs; the guest's own and the kernel's are in it too.
    let is_there = |one: &&InterruptRate| !one.cpus.0.is_disjoint(&worst.cpus.0);
    let rate = |of_host: bool| -> f64 {
        interrupts.iter().filter(is_there).filter(|one| one.is_of_host_device() == of_host).map(|one| one.per_second).sum()
    };
    let judgement = match spent >= LITTLE {
        true if rate(true) >= rate(false) => judgement.percent(rounded(spent)).costs(weight),
        true => judgement.weighs(weight),
        false => judgement.costs(weight),
    };
    let rest = seen.spare();
    if rest.0.is_empty() {
        return Some(judgement);
    }
    if seen.subject.fixed.contains(&worst.name) {
        return Some(judgement.by_command(seen.isolate()).by(left.trim_start_matches("; ")));
    }
    let hook = if seen.subject.moves_interrupts == Some(false) {
        format!("from the next start vgapt's hook does that: vgapt define {} --move-interrupts yes", seen.name())
    } else {
        seen.by_hook(" for all")
    };
    let isolate = seen.isolate().map(|isolate| format!("where the kernel refuses it: {isolate}; ")).unwrap_or_default();
    // irqbalance distributes them every ten seconds (irqbalance(1), --interval).
    let always = format!("{isolate}irqbalance, where it runs, moves it back; {hook}");
    Some(judgement.by_command(format!("echo {rest} > /proc/irq/{}/smp_affinity_list", worst.name)).by(always))
}

/// About how much of a host CPU's time an interrupt takes there, in percent for one a second: ten microseconds.
const EXIT: f64 = 0.001;
/// The same of one of the guest's own that is not posted, which it would have had without the exit too.
const NOT_POSTED: f64 = 0.0005;
/// The same of one by a shared line, which takes several exits.
const BY_SHARED_LINE: f64 = 1.0 / 300.0;

/// Those of the kernel itself and their time, where no device's are what takes it: calls of functions on other CPUs, flushes
/// of the TLB, counters that watch. The guest's own and the timer have their own judgements.
pub(super) fn kernel_interrupts(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("kernel-interrupts", "interrupts of the kernel");
    let lines = seen.interrupts.filter(|_| seen.is_pinned())?.iter();
    let (theirs, others): (Vec<&InterruptRate>, Vec<&InterruptRate>) =
        lines.partition(|one| !one.is_own && !one.is_of_host_device() && one.name != "LOC" && !POSTED.contains(&one.name.as_str()));
    let spent = seen.cores.iter().map(|core| core.interrupts).fold(0.0, f64::max);
    let rate = |of: &[&InterruptRate]| of.iter().map(|one| one.per_second).sum::<f64>();
    if spent < LITTLE || rate(&theirs) < rate(&others) {
        return None;
    }
    let words = |one: &&InterruptRate| format!("{} ({}) {} a second", one.name, one.about, one.per_second);
    let most: Vec<String> = theirs.iter().take(3).map(words).collect();
    let text = format!("interrupts took up to {spent} % of a host CPU of the guest, most of them {}", listed(&most));
    let by = "other CPUs send these where a program has run on both, or memory of such a one changes; KVM wakes virtual CPUs by RES too";
    Some(Judgement::good(code, subject, text).took(spent).by_command(seen.isolate()).by(by))
}

/// Notifications by which the processor itself delivers interrupts to a guest.
const POSTED: [&str; 3] = ["PIN", "PIW", "NPI"];

/// What the kernel does behind interrupts: it has no thread, so that no load names it.
pub(super) fn softirqs(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("softirqs", "softirqs");
    let most = seen.cores.iter().map(|core| core.softirqs).reduce(f64::max).filter(|most| *most >= LITTLE && seen.is_pinned())?;
    let kinds: Vec<String> = seen.softirqs.iter().take(3).map(|kind| format!("{} {} a second", kind.name, kind.per_second)).collect();
    let of = if kinds.is_empty() { "of an unknown kind".to_owned() } else { listed(&kinds) };
    let has_packets = seen.softirqs.first().is_some_and(|kind| kind.name.starts_with("NET_"));
    let packets = "packets are handled where the network card's interrupt comes, or where /sys/class/net/*/queues/*/rps_cpus says";
    // What comes with interrupts of the host's devices goes with them.
    let worst = seen.cores.iter().max_by(|one, other| one.softirqs.total_cmp(&other.softirqs)).map(|core| core.cpu)?;
    let comes = |one: &InterruptRate| one.is_of_host_device() && one.per_second >= FEW && one.cpus.0.contains(&worst);
    let is_explained = seen.interrupts.unwrap_or_default().iter().any(comes);
    let (with, weight) = if is_explained { ("; they come with the interrupts of the host's devices there", 0.0) } else { ("", most) };
    let text = format!("they took up to {most} % of a host CPU of the guest: {of}{with}");
    let judgement = Judgement::good(code, subject, text).percent(most).costs(weight);
    Some(if has_packets { judgement.by(packets) } else { judgement })
}

/// Interrupts of the timer a second from which a host CPU with `nohz_full` counts as ticking; at rest there is one.
const FEW_TICKS: f64 = 10.0;

pub(super) fn timer(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("timer", "timer");
    let tickless = &seen.subject.tickless;
    let most = |is_tickless: bool| {
        let meant = seen.cores.iter().filter(|core| tickless.0.contains(&core.cpu) == is_tickless);
        meant.filter_map(|core| core.timer).reduce(f64::max).filter(|_| seen.is_pinned())
    };
    if let Some(most) = most(true).filter(|most| *most >= FEW_TICKS) {
        let text = format!(
            "the host's timer interrupts a host CPU of the guest {most} times a second, though its tick is off while one thread is alone there (nohz_full): the guest's own timers come so too, and a second thread there turns the tick on"
        );
        // The guest's timers are exits for it anyway.
        let judgement = Judgement::good(code, subject, text);
        return Some(if most >= TICKS { judgement.costs(most * EXIT) } else { judgement });
    }
    let most = most(false).or(most(true))?;
    let text = format!("the host's timer interrupts a host CPU of the guest {most} times a second");
    let judgement = Judgement::good(code, subject, text);
    if most < TICKS {
        return Some(judgement);
    }
    let remedy = "the guest's own timers are among them; where the processor can, its tick is off with nohz_full";
    Some(judgement.costs(most * EXIT).by_command(seen.isolate()).by(remedy))
}

/// The interrupts of the passed functions. Those that the IOMMU posts to the guest pass the host by, which counts only what it
/// handles itself (arch/x86/kernel/irq.c).
pub(super) fn card_interrupts(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("card-interrupts", "the card's interrupts");
    if seen.subject.functions.is_empty() {
        return None;
    }
    let Some(own) = &seen.own_interrupts else {
        return Some(Judgement::unknown(code, subject, "/proc/interrupts could not be read"));
    };
    let own = rounded(own.values().sum());
    let lines = seen.interrupts.unwrap_or_default().iter().filter(|one| one.is_own);
    let on: Vec<String> = lines.map(|one| format!("{} on {}", one.name, one.cpus)).collect();
    let on = if on.is_empty() { String::new() } else { format!("; on the guest's host CPUs: {}", listed(&on)) };
    let text = format!("the host handled {own} a second{on}");
    let here: f64 = seen.interrupts.unwrap_or_default().iter().filter(|one| one.is_own).map(|one| one.per_second).sum();
    let handled = |often: f64, text: String| {
        let judgement = Judgement::good(code, subject, text);
        if often >= MANY_EXITS { judgement.costs(often * NOT_POSTED) } else { judgement }
    };
    Some(match &seen.surroundings.posts_interrupts {
        Reading::Known(true) if own < MANY_EXITS => {
            Judgement::good(code, subject, text + "; others may have been posted to the guest, without an exit")
        }
        Reading::Known(true) => {
            let passed = "the IOMMU did not post these: on a host CPU of the guest each is an exit, elsewhere KVM passes it on without one";
            handled(here, format!("{text}; {passed}"))
        }
        Reading::Known(false) => handled(own, text + "; KVM delivers each with an exit (enable_apicv, avic)"),
        Reading::Absent => {
            Judgement::unknown(code, subject, "neither kvm_intel nor kvm_amd says whether it can deliver them without an exit")
        }
        Reading::Unknown(because) => Judgement::unknown(code, subject, because),
    })
}

/// Passed functions that interrupt by a shared line: the host masks it each time, and the guest's end is an exit too.
pub(super) fn shared_lines(seen: &Seen<'_>) -> Option<Judgement> {
    let often = seen.shared_lines.iter().filter(|line| line.per_second >= FEW);
    let SharedLine { about, per_second: rate, is_alone } = often.max_by(|one, other| one.per_second.total_cmp(&other.per_second))?;
    let remedy = "let the guest's driver use MSI: a Windows driver by the value MSISupported of 1 in its device's registry key \
                  (Interrupt Management\\MessageSignaledInterruptProperties), a Linux driver by its option";
    let (code, subject) = ("intx", "interrupts by a shared line");
    if !is_alone {
        let because = format!("{rate} a second came by a line that the card shares with devices of the host ({about})");
        return Some(Judgement::unknown(code, subject, &because).by(remedy));
    }
    let text = format!("{rate} a second by a shared line ({about}), which is never posted: several exits each");
    Some(Judgement::good(code, subject, text).costs(rate * BY_SHARED_LINE).by(remedy))
}
