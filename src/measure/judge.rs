//! A measurement from its samples: the numbers, and the judgements about them with the worst first.

use std::collections::BTreeMap;

use super::differences::{self, Held};
use super::judgements::{BUSY, Seen, all};
use super::measured::{ClockTimes, CoreTimes, Load, Measured, Quota, Subject, VcpuTimes};
use crate::model::{CpuSet, Reading, Sample, Surroundings};

/// Of at least two samples, between which time has passed.
///
/// # Errors
/// Where they are fewer, or no time has passed.
pub fn measure(subject: &Subject<'_>, samples: &[Sample], surroundings: Surroundings) -> Result<Measured, String> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Err("nothing was sampled".to_owned()) };
    let seconds = differences::seconds(first, last);
    if seconds <= 0.0 {
        return Err("no time passed between the samples".to_owned());
    }
    let vcpus = differences::vcpus(samples, surroundings.exit_reasons.as_ref().known());
    let cpus = host_cpus(subject, samples);
    let exits = differences::exits(first, last);
    let interrupts = differences::interrupts(first, last, &cpus, &subject.functions);
    let cores = with_speeds(differences::cores(first, last, &cpus), &differences::speeds(samples, &cpus), &surroundings);
    let used = differences::used(&cores, &vcpus);
    let all_loads = differences::loads(samples, &cpus, &used);
    let unseen = differences::unseen(&all_loads, &used, seconds);
    // What measures is among what ran.
    let others = |loads: Reading<Vec<Load>>| {
        loads.map(|mut loads| {
            loads.retain(|load| Some(load.pid) != subject.own);
            loads
        })
    };
    let loads = others(all_loads);
    let shared = subject.cores.iter().filter(|core| core.is_among(&cpus));
    let siblings = CpuSet(shared.flat_map(|core| &core.cpus).filter(|cpu| !cpus.0.contains(cpu)).copied().collect());
    let links = differences::links(samples);
    let held = differences::held(first, last);
    let is_busy = |vcpu: &&VcpuTimes| vcpu.guest + vcpu.host >= BUSY;
    let busy = vcpus.iter().filter(is_busy).flat_map(|vcpu| &vcpu.ran_on.0).copied().filter(|cpu| cpus.0.contains(cpu)).collect();
    let busy = CpuSet(busy);
    let seen = Seen {
        subject,
        cpus: &cpus,
        vcpus: &vcpus,
        threads: &last.threads,
        cores: &cores,
        idle: differences::idle(first, last, if busy.0.is_empty() { &cpus } else { &busy }),
        busy: &busy,
        loads: &loads,
        unseen,
        beside: &others(differences::loads(samples, &siblings, &differences::used(&differences::cores(first, last, &siblings), &vcpus))),
        shared_lines: differences::shared_lines(first, last, &subject.functions),
        siblings: &siblings,
        held: &held,
        throttled: differences::throttled(first, last, &cpus),
        links: &links,
        own_interrupts: differences::own_interrupts(first, last, &subject.functions),
        exits: &exits,
        interrupts: interrupts.as_deref(),
        softirqs: differences::softirqs(first, last, &cpus),
        surroundings: &surroundings,
    };
    let mut judgements = all(&seen);
    let idle = seen.idle;
    judgements.sort_by(|one, other| one.verdict.cmp(&other.verdict).then(other.weight.total_cmp(&one.weight)));
    let Surroundings { memory, pinned, swapped, versions, agent, .. } = surroundings;
    let quota = |held: &Held<'_>| Quota { group: held.quota.group.clone(), percent: held.quota.percent, held: held.percent };
    Ok(Measured {
        name: subject.name.to_owned(),
        seconds: (seconds * 100.0).round() / 100.0,
        judgements,
        vcpus,
        exits: exits.known(),
        loads: loads.known(),
        interrupts,
        memory: memory.known(),
        pinned: pinned.known(),
        swapped: swapped.known(),
        links,
        idle,
        quotas: match held {
            Reading::Known(held) => Some(held.iter().map(quota).collect()),
            Reading::Absent => Some(Vec::new()),
            Reading::Unknown(_) => None,
        },
        guest_clock: agent.known().map(|clock| ClockTimes { guest: clock.guest.as_secs_f64(), host: clock.host.as_secs_f64() }),
        versions: versions.into_iter().collect::<BTreeMap<_, _>>(),
        moments: differences::moments(samples, &cpus),
        cores,
    })
}

/// The same with how fast they were while they worked, and can be.
fn with_speeds(mut cores: Vec<CoreTimes>, khz: &BTreeMap<u32, u64>, surroundings: &Surroundings) -> Vec<CoreTimes> {
    for core in &mut cores {
        core.mhz = khz.get(&core.cpu).map(|khz| khz / 1000);
        core.most_mhz = surroundings.frequencies.get(&core.cpu).and_then(|one| one.most_khz).map(|khz| khz / 1000);
    }
    cores
}

/// The host CPUs that the virtual ones are pinned to; where they are not, those on which they were seen.
pub fn host_cpus(subject: &Subject<'_>, samples: &[Sample]) -> CpuSet {
    let pins = subject.pins.as_ref().ok().filter(|pins| !pins.is_empty());
    let pinned = pins.into_iter().flatten().flat_map(|(_, cpus)| &cpus.0).filter(|cpu| subject.online.0.contains(cpu));
    // One whose pin names only CPUs that are off runs elsewhere.
    let moves = |vcpu: u32| pins.is_none_or(|pins| pins.get(&vcpu).is_some_and(|pin| pin.0.is_disjoint(&subject.online.0)));
    let vcpus = samples.iter().flat_map(|sample| &sample.threads).filter(|thread| thread.vcpu().is_some_and(moves));
    CpuSet(vcpus.map(|thread| thread.cpu).chain(pinned.copied()).collect())
}
