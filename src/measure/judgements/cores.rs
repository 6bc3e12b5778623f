//! The host CPUs of the virtual ones: whether they are theirs alone, and fast.

use std::collections::BTreeMap;

use super::seen::{LITTLE, Seen, listed};
use crate::measure::differences::rounded;
use crate::measure::measured::{Judgement, Load};
use crate::model::{CpuSet, Reading};

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
        let text = format!("the virtual CPUs are not pinned: they may run on the host CPUs {on}{waits}");
        let (weight, remedy) = if seen.subject.can_be_pinned { (20.0, seen.pin()) } else { (0.0, String::new()) };
        let judged = judgement(text).costs(weight + waited.unwrap_or_default(), remedy);
        return Judgement { costs_percent: waited.filter(|waited| *waited >= LITTLE), ..judged };
    }
    for vcpu in seen.vcpus {
        let (Some(pin), Some(allowed)) = (pins.get(&vcpu.vcpu), &vcpu.allowed) else {
            let because = format!("the host CPUs of virtual CPU {} could not be read", vcpu.vcpu);
            return Judgement::unknown("pinning", "pinning", &because);
        };
        // A pin may name CPUs that are off.
        let on = |set: &CpuSet| set.0.intersection(&seen.subject.online.0).copied().collect::<Vec<u32>>();
        if on(allowed) != on(pin) {
            let text = format!("virtual CPU {} may run on the host CPUs {allowed}, and the domain says {pin}{waits}", vcpu.vcpu);
            return judgement(text).costs(20.0 + waited.unwrap_or_default(), format!("virsh vcpupin {} {} {pin}", seen.name(), vcpu.vcpu));
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
    let mut each: BTreeMap<u32, f64> = BTreeMap::new();
    for load in &others {
        *each.entry(load.cpu).or_default() += load.ran;
    }
    let most = each.values().copied().fold(0.0, f64::max);
    if most < LITTLE || (!seen.is_pinned() && seen.waited().is_some_and(|waited| waited < LITTLE)) {
        let text = format!("nothing else took more than {most:.1} % of a host CPU of the guest");
        return Judgement::good("host-load", "host load", text);
    }
    let words = |load: &&Load| {
        let kind = if load.is_kernel { "kernel thread" } else { "process" };
        format!("{} ({kind} {}) {} % of CPU {}", load.name, load.pid, load.ran, load.cpu)
    };
    let worst: Vec<String> = others.iter().take(3).map(words).collect();
    let rest = seen.rest();
    let remedy = match others.iter().find(|load| !load.is_kernel) {
        _ if !seen.is_pinned() && seen.subject.can_be_pinned => seen.pin(),
        Some(load) if !rest.0.is_empty() && seen.is_pinned() => {
            format!("taskset -apc {rest} {}; from the next start vgapt's hook does that for all: vgapt prepare", load.pid)
        }
        _ => String::new(),
    };
    let text = format!("on the guest's host CPUs {} there ran {}", seen.cpus, listed(&worst));
    let judgement = Judgement::good("host-load", "host load", text);
    // A guest that may move elsewhere loses no more than it waits.
    let cost = seen.waited().filter(|_| !seen.is_pinned()).unwrap_or(most);
    judgement.costs(cost, remedy).percent(rounded(cost))
}

/// QEMU's own threads that are no virtual CPUs: its main loop, I/O threads, vhost.
pub(super) fn own_threads(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("own-threads", "QEMU's other threads");
    let Reading::Known(loads) = seen.loads else {
        return Judgement::unknown(code, subject, "the host's threads could not be read");
    };
    let ran = rounded(loads.iter().filter(|load| load.is_own).map(|load| load.ran).sum());
    if ran < LITTLE || !seen.is_pinned() {
        return Judgement::good(code, subject, format!("they took {ran} % of a host CPU of the guest"));
    }
    let names: Vec<String> = loads.iter().filter(|load| load.is_own).take(3).map(|load| format!("{} {} %", load.name, load.ran)).collect();
    let rest = seen.rest();
    let remedy = if rest.0.is_empty() { String::new() } else { format!("virsh emulatorpin {} {rest}", seen.name()) };
    let text = format!("they ran on the guest's host CPUs {}: {}", seen.cpus, listed(&names));
    Judgement::good(code, subject, text).costs(ran, remedy).percent(rounded(ran))
}

/// Only where it is pinned: else the judgement about pinning says it.
pub(super) fn waiting(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("waiting", "waiting");
    let pins = seen.subject.pins.as_ref().ok().filter(|pins| !pins.is_empty() && !seen.vcpus.is_empty())?;
    let Some(waited) = seen.waited() else {
        return Some(Judgement::unknown(code, subject, "this kernel does not count it (CONFIG_SCHED_INFO)"));
    };
    if waited < LITTLE {
        return Some(Judgement::good(code, subject, format!("no virtual CPU waited more than {waited} % of the time for its host CPU")));
    }
    let mut used: BTreeMap<&CpuSet, u32> = BTreeMap::new();
    for cpus in pins.values() {
        *used.entry(cpus).or_default() += 1;
    }
    let is_shared = used.iter().any(|(cpus, vcpus)| cpus.0.len() < *vcpus as usize);
    let remedy = if is_shared && seen.subject.can_be_pinned { seen.pin() } else { String::new() };
    let why = if is_shared { "; more virtual CPUs are pinned there than there are" } else { "" };
    let text = format!("a virtual CPU waited {waited} % of the time for its host CPU{why}");
    Some(Judgement::good(code, subject, text).costs(waited, remedy).percent(waited))
}

pub(super) fn steal(seen: &Seen<'_>) -> Option<Judgement> {
    let most = seen.cores.iter().map(|core| core.steal).reduce(f64::max).filter(|most| *most >= LITTLE)?;
    let text = format!("this host is a guest itself, and its own host took {most} % of a CPU");
    Some(Judgement::good("steal", "steal", text).costs(most, "").percent(most))
}

pub(super) fn frequency(seen: &Seen<'_>) -> Option<Judgement> {
    let frequencies = &seen.surroundings.frequencies;
    let slow: Vec<u32> = frequencies.iter().filter(|(_, one)| one.governor != "performance").map(|(cpu, _)| *cpu).collect();
    let first = frequencies.values().next().filter(|_| seen.is_pinned())?;
    let mhz = |khz: Option<u64>| khz.map_or_else(|| "an unknown number of".to_owned(), |khz| (khz / 1000).to_string());
    let now = format!("{} of {} MHz", mhz(first.khz), mhz(first.most_khz));
    let judgement = |text| Judgement::good("frequency", "frequency", text);
    let Some(governor) = slow.first().and_then(|cpu| frequencies.get(cpu)).map(|one| &one.governor) else {
        return Some(judgement(format!("the guest's host CPUs run at full speed ({now})")));
    };
    let cpus: Vec<String> = slow.iter().map(u32::to_string).collect();
    let text = format!("the governor of the host CPUs {} is {governor}, not performance ({now})", listed(&cpus));
    let each =
        format!("for cpu in {}; do echo performance > /sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor; done", cpus.join(" "));
    Some(judgement(text).costs(1.0, each))
}

/// What waking up costs: only where the host CPUs are the guest's.
pub(super) fn idle(seen: &Seen<'_>) -> Option<Judgement> {
    let (name, often, long) = seen.idle.as_ref().filter(|_| seen.is_pinned())?;
    let percent = rounded(often * long / 10_000.0);
    let text = format!("a host CPU of the guest left {name} {often} times a second, which takes up to {long} µs each");
    let judgement = Judgement::good("idle", "idle states", text);
    let remedy = format!("cpupower -c {} idle-set -D {}; that counts until the host boots again", seen.cpus, long);
    Some(if percent < LITTLE { judgement } else { judgement.costs(percent, remedy).percent(percent) })
}
