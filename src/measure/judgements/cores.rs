//! The host CPUs of the virtual ones: whether they are theirs alone, and fast.

use std::collections::BTreeSet;

use super::quota::quota;
use super::seen::{LITTLE, Seen, UNTIL_BOOT, listed};
use crate::measure::differences::{AT_WORK, most_of_a_cpu};
use crate::measure::measured::{IdleState, Judgement, Load, Verdict};
use crate::measure::numbers::rounded;
use crate::model::{CpuSet, Reading, Thread, TurboOff};

/// How much it weighs that virtual CPUs have no host CPUs of their own, besides what they waited.
const UNPINNED: f64 = 20.0;
/// Percent of a host CPU from which it is reported that another thread of a core of the guest is used.
const MUCH_BESIDE: f64 = 10.0;
/// About how much a thread of a core loses while the other one works.
pub(super) const SHARED: f64 = 0.3;
/// The part of the highest frequency from which a host CPU is at full speed.
const FULL_SPEED: f64 = 0.9;
/// The part of it below which a host CPU at work is held back: processors have the highest one for a core alone, and less,
/// but not so little, for all.
const HELD_BACK: f64 = 0.6;

/// Whether the guest does something: what costs it speed shows only then.
pub(super) fn work(seen: &Seen<'_>) -> Option<Judgement> {
    let most = seen.vcpus.iter().map(|vcpu| vcpu.guest + vcpu.host + vcpu.waited.unwrap_or_default()).reduce(f64::max)?;
    let because =
        format!("the guest was idle: no virtual CPU worked more than {} % of the time; measure again while it works", rounded(most));
    (most < IDLE).then(|| Judgement::unknown("work", "speed under load", &because))
}

/// Percent of its time that a virtual CPU works at least in a guest that is used.
const IDLE: f64 = 3.0;

pub(super) fn pinning(seen: &Seen<'_>) -> Judgement {
    let judgement = |text: String| Judgement::good("pinning", "pinning", text);
    let pins = match &seen.subject.pins {
        Ok(pins) => pins,
        Err(because) => return Judgement::unknown("pinning", "pinning", because),
    };
    if seen.vcpus.is_empty() {
        return Judgement::unknown("pinning", "pinning", "none of QEMU's threads is named as that of a virtual CPU");
    }
    let waited = seen.waited();
    let waits = waited.filter(|waited| *waited >= LITTLE).map(|waited| format!(", and waited up to {waited} % of the time for one"));
    let waits = waits.unwrap_or_default();
    if pins.is_empty() {
        let allowed: Option<Vec<&CpuSet>> = seen.vcpus.iter().map(|vcpu| vcpu.allowed.as_ref()).collect();
        let allowed = allowed.map(|sets| CpuSet(sets.into_iter().flat_map(|set| set.0.iter().copied()).collect()).to_string());
        let on = allowed.unwrap_or_else(|| "an unknown set of them".to_owned());
        let isolated = &seen.subject.isolated;
        let may_pile = seen.vcpus.iter().filter_map(|vcpu| vcpu.allowed.as_ref()).any(|on| on.0.intersection(&isolated.0).count() > 1);
        let piled =
            if may_pile { format!("; among isolated ones ({isolated}) the kernel does not distribute them") } else { String::new() };
        let text = format!("the virtual CPUs are not pinned: they may run on the host CPUs {on}{piled}{waits}");
        let weight = if seen.subject.pinnable.is_ok() || may_pile { UNPINNED } else { 0.0 };
        let judged = judgement(text).weighs(weight + waited.unwrap_or_default()).by_command(seen.pinned_or_fewer());
        return Judgement { costs_percent: waited.filter(|waited| *waited >= LITTLE), ..judged };
    }
    let weight = UNPINNED + waited.unwrap_or_default();
    let pin = seen.pinned_or_fewer();
    let without: Vec<String> = seen.vcpus.iter().filter(|vcpu| !pins.contains_key(&vcpu.vcpu)).map(|vcpu| vcpu.vcpu.to_string()).collect();
    if !without.is_empty() {
        let text = format!("the virtual CPUs {} have no host CPUs of their own{waits}", listed(&without));
        return judgement(text).weighs(weight).by_command(pin);
    }
    let on = |set: &CpuSet| CpuSet(set.0.intersection(&seen.subject.online.0).copied().collect());
    // How many virtual CPUs may run on none but these, or some of them.
    let within = |cpus: &CpuSet| pins.values().map(on).filter(|pin| !pin.0.is_empty() && pin.0.is_subset(&cpus.0)).count();
    let all = CpuSet(pins.values().flat_map(|pin| on(pin).0).collect());
    let sets: BTreeSet<CpuSet> = pins.values().map(on).filter(|cpus| !cpus.0.is_empty()).chain([all]).collect();
    let crowded = sets.into_iter().map(|cpus| (within(&cpus), cpus)).find(|(vcpus, cpus)| cpus.0.len() < *vcpus);
    if let Some((vcpus, cpus)) = crowded {
        let text = format!("{vcpus} virtual CPUs are pinned to the host CPUs {cpus}, more than there are{waits}");
        return judgement(text).weighs(weight).by_command(pin);
    }
    for vcpu in seen.vcpus {
        let (Some(pin), Some(allowed)) = (pins.get(&vcpu.vcpu), &vcpu.allowed) else {
            let because = format!("the host CPUs of virtual CPU {} could not be read", vcpu.vcpu);
            return Judgement::unknown("pinning", "pinning", &because);
        };
        // A pin may name CPUs that are off.
        if on(pin).0.is_empty() {
            let text =
                format!("virtual CPU {} is pinned to the host CPUs {pin}, which are off, and may run on {allowed}{waits}", vcpu.vcpu);
            return judgement(text).weighs(weight).by_command(seen.pinned_or_fewer());
        }
        if on(allowed) != on(pin) {
            let text = format!("virtual CPU {} may run on the host CPUs {allowed}, and the domain says {pin}{waits}", vcpu.vcpu);
            return judgement(text).weighs(weight).by_command(seen.virsh("vcpupin", &format!("{} {pin}", vcpu.vcpu)));
        }
    }
    judgement(format!("each virtual CPU stays on its host CPUs, which are {}", seen.cpus))
}

/// What the host ran on the guest's CPUs.
pub(super) fn load(seen: &Seen<'_>) -> Judgement {
    let loads = match seen.loads {
        Reading::Known(loads) => loads,
        Reading::Unknown(because) => return Judgement::unknown("host-load", "host load", because),
        Reading::Absent => return Judgement::unknown("host-load", "host load", "the host's threads could not be read"),
    };
    let others: Vec<&Load> = loads.iter().filter(|load| !load.is_own).collect();
    let most = most_of_a_cpu(others.iter().copied());
    let good = |text: String| Judgement::good("host-load", "host load", text);
    let is_unseen = seen.unseen > most;
    if most < LITTLE && !is_unseen {
        return good(format!("nothing else took more than {most:.1} % of a host CPU of the guest"));
    }
    let most = if is_unseen { seen.unseen } else { most };
    if !seen.is_pinned() && seen.waited().is_some_and(|waited| waited < LITTLE) {
        return good(format!("other threads took up to {} % of a host CPU, and no virtual CPU had to wait for one", rounded(most)));
    }
    let left: String = seen.subject.left_processes.iter().map(|said| format!("; {said}")).collect();
    let mut ran = if is_unseen { vec![format!("processes that came and went, together {} % of a CPU", seen.unseen)] } else { Vec::new() };
    ran.extend(Some(worst(&others)).filter(|worst| !worst.is_empty()));
    let judgement = good(format!("on the guest's host CPUs {} there ran {}{left}", seen.cpus, listed(&ran)));
    // A guest that may move elsewhere loses no more than it waits; a pinned one at least what others took, and what it waited
    // for them, unless a quota or its own other threads kept it.
    let waited = seen.waited().unwrap_or_default();
    let is_held = quota(seen).is_some_and(|quota| quota.verdict == Verdict::Costs) || own_threads(seen).verdict == Verdict::Costs;
    let cost = match seen.is_pinned() {
        true if is_held => most,
        true => most.max(waited),
        false => seen.waited().unwrap_or(most),
    };
    let judgement = judgement.took(cost);
    if seen.is_pinned() { moved(judgement, seen, &others) } else { judgement.by_command(seen.pinned_or_fewer()) }
}

/// Those that ran most.
fn worst(others: &[&Load]) -> String {
    let words = |load: &&Load| {
        let kind = if load.is_kernel { "kernel thread" } else { "process" };
        format!("{} ({kind} {}) {} % of CPU {}", load.name, load.pid, load.ran, load.cpu)
    };
    listed(&others.iter().take(3).map(words).collect::<Vec<String>>())
}

/// With how to move the process that ran most to where the guest is not, else the thread of the kernel; some of these belong to
/// a host CPU, and are only kept from having work there.
fn moved(judgement: Judgement, seen: &Seen<'_>, others: &[&Load]) -> Judgement {
    let rest = seen.spare();
    let most = |is_meant: fn(&Load) -> bool| others.iter().find(|load| is_meant(load) && load.ran >= LITTLE);
    match most(|load| !load.is_kernel).or_else(|| most(|load| !load.is_fixed)).or_else(|| most(|_| true)) {
        Some(load) if load.is_fixed && seen.isolate().is_some() => judgement
            .by_command(seen.isolate())
            .by("it belongs to its host CPU and cannot move; isolation keeps work from it, and that costs the host these CPUs"),
        Some(load) if load.is_kernel && !load.is_fixed && !rest.0.is_empty() => {
            judgement.by_command(format!("taskset -pc {rest} {}", load.pid))
        }
        Some(load) if load.is_own => judgement.by_command(pins_of_own_threads(seen, others)),
        Some(load) if is_of_guest(load) => judgement.by("it is another guest: let each have host CPUs of its own (virsh vcpupin)"),
        Some(load) if !rest.0.is_empty() => {
            let judgement = judgement.by_command(format!("taskset -apc {rest} {}", load.pid));
            let is_done = !seen.subject.left_processes.is_empty();
            if is_done { judgement } else { judgement.by(seen.by_hook(" for all")) }
        }
        _ => judgement,
    }
}

/// Whether it is a virtual CPU of another domain, which libvirt may have pinned there.
fn is_of_guest(load: &Load) -> bool {
    load.name.strip_prefix("CPU ").is_some_and(|rest| rest.ends_with("/KVM"))
}

/// What ran on the other threads of the guest's cores: two threads of a core share what it can do.
pub(super) fn beside(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("beside", "the other threads of its cores");
    if !seen.is_pinned() || seen.siblings.0.is_empty() {
        return None;
    }
    let Reading::Known(loads) = seen.beside else {
        return Some(Judgement::unknown(code, subject, "the host's threads could not be read"));
    };
    let others: Vec<&Load> = loads.iter().collect();
    let most = most_of_a_cpu(loads);
    if most < MUCH_BESIDE {
        let text = format!("the host CPUs {} share cores with the guest, and were used up to {most} %", seen.siblings);
        return Some(Judgement::good(code, subject, text));
    }
    let text = format!("the host CPUs {} share cores with the guest, and there ran {}", seen.siblings, worst(&others));
    let judgement = Judgement::good(code, subject, text).costs(most * SHARED);
    // Where the host has no core of its own, only other pins help.
    let is_cramped = seen.apart().0.is_empty() && seen.subject.pinnable.is_ok();
    Some(if is_cramped { judgement.by_command(seen.pin()) } else { moved(judgement, seen, &others) })
}

/// QEMU's own threads that are no virtual CPUs: its main loop, I/O threads, vhost.
pub(super) fn own_threads(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("own-threads", "QEMU's other threads");
    let Reading::Known(loads) = seen.loads else {
        return Judgement::unknown(code, subject, "the host's threads could not be read");
    };
    let ran = rounded(loads.iter().filter(|load| load.is_own).map(|load| load.ran).sum());
    if ran < LITTLE || !seen.is_pinned() {
        let good = || Judgement::good(code, subject, format!("they took {ran} % of a host CPU of the guest"));
        return elsewhere(seen).unwrap_or_else(good);
    }
    let own: Vec<&Load> = loads.iter().filter(|load| load.is_own).collect();
    let names: Vec<String> = own.iter().take(3).map(|load| format!("{} {} %", load.name, load.ran)).collect();
    let text = format!("they ran on the guest's host CPUs {}: {}", seen.cpus, listed(&names));
    Judgement::good(code, subject, text).took(ran).by_command(pins_of_own_threads(seen, &own))
}

/// The first of QEMU's own threads that may run elsewhere than the domain says: libvirt moves them once, and whoever moves them
/// later does not ask it.
fn elsewhere(seen: &Seen<'_>) -> Option<Judgement> {
    let judgement = |text: &str| Judgement::good("own-threads", "QEMU's other threads", text);
    let pins = match &seen.subject.own_pins {
        Ok(pins) => pins,
        Err(because) => return Some(Judgement::unknown("own-threads", "QEMU's other threads", because)),
    };
    let on = |set: &CpuSet| set.0.intersection(&seen.subject.online.0).copied().collect::<Vec<u32>>();
    let moved = |thread: &Thread| {
        let allowed = thread.allowed.as_ref()?;
        let (pin, command) = match iothread(&thread.name) {
            Some(id) => pins.iothreads.get(&id).map(|pin| (pin, seen.virsh("iothreadpin", &format!("{id} {pin}"))))?,
            None if thread.tid == thread.pid => pins.emulator.as_ref().map(|pin| (pin, seen.virsh("emulatorpin", &pin.to_string())))?,
            None => return None,
        };
        let text = format!("{} may run on the host CPUs {allowed}, and the domain says {pin}", thread.name);
        (on(allowed) != on(pin)).then(|| judgement(&text).weighs(LITTLE).by_command(command))
    };
    seen.threads.iter().find_map(moved)
}

/// The number of an I/O thread, by its name (`iothread_complete` of QEMU, with the name that libvirt gives it).
fn iothread(name: &str) -> Option<u32> {
    name.strip_prefix("IO iothread")?.parse().ok()
}

/// What keeps QEMU's own threads off the guest's cores: libvirt pins each I/O thread by itself, and all that are neither these
/// nor virtual CPUs together.
fn pins_of_own_threads(seen: &Seen<'_>, loads: &[&Load]) -> Option<String> {
    let rest = seen.spare();
    let pin = |load: &&&Load| {
        let iothread = iothread(&load.name);
        iothread.map_or_else(|| seen.virsh("emulatorpin", &rest.to_string()), |id| seen.virsh("iothreadpin", &format!("{id} {rest}")))
    };
    let commands: BTreeSet<String> = loads.iter().filter(|load| load.is_own && load.ran >= LITTLE).map(|load| pin(&load)).collect();
    (!rest.0.is_empty() && !commands.is_empty()).then(|| commands.into_iter().collect::<Vec<_>>().join(" && "))
}

/// Only where it is pinned: else the judgement about pinning says it.
pub(super) fn waiting(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("waiting", "waiting");
    if !seen.is_pinned() || seen.vcpus.is_empty() {
        return None;
    }
    let Some(waited) = seen.waited() else {
        return Some(Judgement::unknown(code, subject, "this kernel does not count it (CONFIG_SCHED_INFO)"));
    };
    if waited < LITTLE {
        return Some(Judgement::good(code, subject, format!("no virtual CPU waited more than {waited} % of the time for its host CPU")));
    }
    let text = format!("a virtual CPU waited {waited} % of the time for its host CPU");
    let judgement = Judgement::good(code, subject, text).percent(waited);
    // It follows from these, which are what can be mended.
    let is_explained = [Some(pinning(seen)), Some(load(seen)), Some(own_threads(seen)), quota(seen)]
        .iter()
        .flatten()
        .any(|one| one.verdict == Verdict::Costs && one.weight >= LITTLE);
    Some(judgement.costs(if is_explained { 0.0 } else { waited }))
}

/// The times of the host CPUs, where the kernel's are not those of all of them.
pub(super) fn times(seen: &Seen<'_>) -> Option<Judgement> {
    let lacks = |cpu: &&u32| !seen.cores.iter().any(|core| core.cpu == **cpu);
    let missing = CpuSet(seen.cpus.0.iter().filter(lacks).copied().collect());
    let because = format!("/proc/stat does not have those of {missing}: interrupts, softirqs and steal there are unknown too");
    (!missing.0.is_empty()).then(|| Judgement::unknown("times", "times of the host CPUs", &because))
}

pub(super) fn steal(seen: &Seen<'_>) -> Option<Judgement> {
    let most = seen.cores.iter().map(|core| core.steal).reduce(f64::max).filter(|most| *most >= LITTLE)?;
    let text = format!("this host is a guest itself, and its own host took {most} % of a CPU");
    Some(Judgement::good("steal", "steal", text).took(most))
}

/// Only of host CPUs that work are the frequencies those of work; of ones without a tick the kernel knows an old one
/// (`arch_freq_get_on_cpu`).
pub(super) fn frequency(seen: &Seen<'_>) -> Option<Judgement> {
    let frequencies = &seen.surroundings.frequencies;
    let first = frequencies.values().next().filter(|_| seen.is_pinned())?;
    let at_work = seen.cores.iter().filter(|core| !seen.subject.tickless.0.contains(&core.cpu)).filter_map(|core| {
        let (mhz, most) = (core.mhz?, core.most_mhz?);
        #[expect(clippy::cast_precision_loss, reason = "MHz")]
        let part = mhz as f64 / most.max(1) as f64;
        Some((mhz, most, part, 100.0 - core.idle))
    });
    let at_work: Vec<(u64, u64, f64, f64)> = at_work.collect();
    let slowest = at_work.iter().min_by(|one, other| one.2.total_cmp(&other.2));
    let part = slowest.map(|(.., part, _)| *part);
    let is_at_work = seen.cores.iter().any(|core| 100.0 - core.idle >= AT_WORK);
    let now = match slowest {
        Some((mhz, most, ..)) => format!("the slowest at work at {mhz} of {most} MHz"),
        None if is_at_work => "the kernel does not say how fast those at work are".to_owned(),
        None => "none worked long enough to show its frequency".to_owned(),
    };
    let most = at_work.iter().map(|(.., part, works)| (1.0 - part) * works).fold(1.0, f64::max);
    let judgement = |text| Judgement::good("frequency", "frequency", text);
    if let Some(limited) = limited(seen) {
        return Some(limited);
    }
    let slow: Vec<u32> = frequencies.iter().filter(|(_, one)| !one.is_fast()).map(|(cpu, _)| *cpu).collect();
    let Some(one) = slow.first().and_then(|cpu| frequencies.get(cpu)) else {
        let prefers = if first.follows_load() { ", which prefers performance" } else { "" };
        let text = format!("the host CPUs of the guest are set to be fast: the governor is {}{prefers} ({now})", first.governor);
        if part.is_none_or(|part| part >= HELD_BACK) {
            return Some(judgement(text));
        }
        let limits = match seen.throttled {
            Some(often @ 1..) => format!(
                "heat or power slowed them down {often} times meanwhile: better cooling, and the firmware's limits of power, change it"
            ),
            _ => "what holds them back is unknown: turbostat shows the limits of power and heat".to_owned(),
        };
        return Some(judgement(text).costs(most).by(limits));
    };
    let governor = &one.governor;
    let is_enough = if one.follows_load() { HELD_BACK } else { FULL_SPEED };
    let is_never_fast = (governor == "powersave" || governor == "userspace") && !one.follows_load();
    if part.is_none() && !is_never_fast && is_at_work {
        let because = format!("the governor is {governor}, and the kernel does not say how fast the host CPUs at work are (nohz_full)");
        return Some(Judgement::unknown("frequency", "frequency", &because));
    }
    if part.map_or(!is_never_fast, |part| part >= is_enough) {
        let driver = one.driver.as_ref().filter(|_| one.follows_load()).map(|driver| format!(" of {driver}")).unwrap_or_default();
        return Some(judgement(format!("the governor of the guest's host CPUs is {governor}{driver}, which goes with the load ({now})")));
    }
    let cpus: Vec<String> = slow.iter().map(u32::to_string).collect();
    let text = format!("the governor of the host CPUs {} is {governor}, not performance ({now})", listed(&cpus));
    let each =
        format!("for cpu in {}; do echo performance > /sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor; done", cpus.join(" "));
    Some(judgement(text).costs(most).by_command(each).by(seen.by_hook("")))
}

/// What settings of the host keep its processors from: their highest frequencies, or all above a limit.
fn limited(seen: &Seen<'_>) -> Option<Judgement> {
    let judgement = |text: String| Judgement::good("frequency", "frequency", text);
    let frequencies = &seen.surroundings.frequencies;
    #[expect(clippy::cast_precision_loss, reason = "kHz")]
    let part = |limit: u64, most: u64| limit as f64 / most.max(1) as f64;
    let low = frequencies.iter().filter_map(|(cpu, one)| Some((*cpu, one.limit_khz?, one.most_khz?)));
    let low: Vec<(u32, u64, u64)> = low.filter(|(_, limit, most)| part(*limit, *most) < FULL_SPEED).collect();
    if let Some((_, limit, most)) = low.first() {
        let cpus: Vec<String> = low.iter().map(|(cpu, ..)| cpu.to_string()).collect();
        let (limit, most) = (limit / 1000, most / 1000);
        let text = format!("the host CPUs {} may run at up to {limit} of {most} MHz (scaling_max_freq)", listed(&cpus));
        let home = "/sys/devices/system/cpu/cpu$cpu/cpufreq";
        let each = format!("for cpu in {}; do cat {home}/cpuinfo_max_freq > {home}/scaling_max_freq; done", cpus.join(" "));
        return Some(judgement(text).costs(100.0 * (1.0 - part(limit, most))).by_command(each).by(UNTIL_BOOT));
    }
    let TurboOff { file, on } = seen.surroundings.turbo_off.as_ref()?;
    let text = format!("the processors' highest frequencies are switched off ({file})");
    Some(judgement(text).weighs(NO_TURBO).by_command(format!("echo {on} > {file}")).by(UNTIL_BOOT))
}

/// How much it weighs that the highest frequencies are off: they are a tenth above the others or more, and how much more the
/// kernel no longer says.
const NO_TURBO: f64 = 10.0;

/// What waking up costs: only where the host CPUs are the guest's.
pub(super) fn idle(seen: &Seen<'_>) -> Option<Judgement> {
    let state = seen.idle.as_ref().filter(|_| seen.is_pinned())?;
    let (IdleState { name, per_second: often, microseconds: long }, percent) = (state, state.percent());
    let text = format!("a host CPU of the guest left {name} {often} times a second, which takes up to {long} µs each");
    let judgement = Judgement::good("idle", "idle states", text);
    // Nobody waits for a guest that does little, and the host's own timers wake its CPUs too.
    if percent < LITTLE || !seen.is_busy() {
        return Some(judgement);
    }
    let command = format!("cpupower -c {} idle-set -D {long}", seen.cpus);
    let price = "it takes power and heat, of which cores that work then have less for their highest frequencies";
    Some(judgement.costs(percent).by_command(command).by(format!("{UNTIL_BOOT}; {price}")))
}
