//! A measurement from its samples: the numbers, and the judgements about them with the worst first.

use std::collections::BTreeMap;

use super::differences;
use super::judgements::{BUSY, Seen, all};
use super::measured::{Load, Measured, Subject, VcpuTimes};
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
    let cores = differences::cores(first, last, &cpus);
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
        cores: &cores,
        speeds: differences::speeds(samples, &cpus),
        idle: differences::idle(first, last, if busy.0.is_empty() { &cpus } else { &busy }),
        busy: &busy,
        loads: &loads,
        unseen,
        beside: &others(differences::loads(samples, &siblings, &differences::used(&differences::cores(first, last, &siblings), &vcpus))),
        shared_lines: differences::shared_lines(first, last, &subject.functions),
        siblings: &siblings,
        held: &held,
        links: &links,
        own_interrupts: differences::own_interrupts(first, last, &subject.functions),
        exits: &exits,
        interrupts: interrupts.as_deref(),
        softirqs: differences::softirqs(first, last, &cpus),
        surroundings: &surroundings,
    };
    let mut judgements = all(&seen);
    judgements.sort_by(|one, other| one.verdict.cmp(&other.verdict).then(other.weight.total_cmp(&one.weight)));
    let Surroundings { memory, versions, .. } = surroundings;
    Ok(Measured {
        name: subject.name.to_owned(),
        seconds: (seconds * 100.0).round() / 100.0,
        judgements,
        vcpus,
        exits: exits.known(),
        loads: loads.known(),
        interrupts,
        memory: memory.known(),
        links,
        versions: versions.into_iter().collect::<BTreeMap<_, _>>(),
        moments: differences::moments(samples, &cpus),
        cores,
    })
}

/// The host CPUs that the virtual ones are pinned to; where they are not, those on which they were seen.
pub fn host_cpus(subject: &Subject<'_>, samples: &[Sample]) -> CpuSet {
    let pinned: Vec<u32> = subject.pins.iter().flatten().flat_map(|(_, cpus)| cpus.0.iter().copied()).collect();
    if !pinned.is_empty() {
        return CpuSet(pinned.into_iter().collect());
    }
    let threads = samples.iter().flat_map(|sample| &sample.threads);
    CpuSet(threads.filter(|thread| thread.vcpu().is_some()).map(|thread| thread.cpu).collect())
}
