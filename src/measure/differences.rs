//! Numbers from the differences between samples.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::measured::{CoreTimes, IdleState, InterruptRate, Load, Moment, VcpuTimes};
use super::numbers::rounded;
use crate::model::{CpuQuota, CpuSet, CpuTimes, ExitReasons, Interrupts, Link, PciAddress, Reading, Sample, TICKS_PER_SECOND, Thread};

const NANOSECONDS: f64 = 1e9;
/// The least share of a host CPU that is listed, in percent.
const LEAST_LOAD: f64 = 0.1;

#[expect(clippy::cast_precision_loss, reason = "counters of some seconds are far below 2^53")]
fn grown(before: u64, after: u64) -> f64 {
    after.saturating_sub(before) as f64
}

pub(super) fn seconds(before: &Sample, after: &Sample) -> f64 {
    after.at.saturating_sub(before.at).as_secs_f64()
}

/// How much a counter grew that begins anew where it is lower than before: an interrupt that was requested again, statistics
/// that somebody cleared. It grew at least by what it is now.
fn counted(before: u64, after: u64) -> f64 {
    if after < before { grown(0, after) } else { grown(before, after) }
}

/// Ticks as percent of the time.
fn percent(ticks: f64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "100")]
    let per_second = TICKS_PER_SECOND as f64;
    // A tick more than there was time for is only the coarseness of both.
    rounded(100.0 * ticks / per_second / seconds).min(100.0)
}

/// A thread in both samples, not another one that has its number meanwhile.
fn same<'a>(thread: &Thread, before: &'a [Thread]) -> Option<&'a Thread> {
    before.iter().find(|one| (one.tid, one.started) == (thread.tid, thread.started))
}

/// Of one thread, a second; that of a thread that never left the guest is empty.
fn rates_of<K: Ord + Clone>(counts: &BTreeMap<u32, BTreeMap<K, u64>>, thread: u32, time: Duration) -> BTreeMap<K, f64> {
    let seconds = time.as_secs_f64();
    let counts = counts.get(&thread).into_iter().flatten();
    counts.filter(|_| seconds > 0.0).map(|(key, count)| (key.clone(), rounded(grown(0, *count) / seconds))).collect()
}

pub(super) fn vcpus(samples: &[Sample], reasons: Option<&ExitReasons>) -> Vec<VcpuTimes> {
    let [first, .., last] = samples else { return Vec::new() };
    let seconds = seconds(first, last);
    let times = |after: &Thread| {
        let (vcpu, before) = (after.vcpu()?, same(after, &first.threads)?);
        let guest = grown(before.guest, after.guest);
        let ran = grown(before.user, after.user) + grown(before.system, after.system);
        let both = |of: fn(&Thread) -> Option<u64>| Some(grown(of(before)?, of(after)?));
        let ran_on = samples.iter().filter_map(|sample| Some(same(after, &sample.threads)?.cpu)).collect();
        Some(VcpuTimes {
            vcpu,
            thread: after.tid,
            allowed: after.allowed.clone(),
            ran_on: CpuSet(ran_on),
            guest: percent(guest, seconds),
            host: percent((ran - guest).max(0.0), seconds),
            waited: both(|thread| thread.waited).map(|waited| rounded(100.0 * waited / NANOSECONDS / seconds)),
            preempted: both(|thread| thread.preempted).map(|preempted| rounded(preempted / seconds)),
            reasons: reasons.map(|reasons| rates_of(&reasons.counts, after.tid, reasons.time)),
            exit_targets: reasons.map(|reasons| rates_of(&reasons.targets, after.tid, reasons.time)),
        })
    };
    let mut vcpus: Vec<VcpuTimes> = last.threads.iter().filter_map(times).collect();
    vcpus.sort_by_key(|vcpu| vcpu.vcpu);
    vcpus
}

/// How much of each host CPU's time was used, without its virtual CPU, in percent; of none that a virtual one shares its time
/// with another.
pub(super) fn used(cores: &[CoreTimes], vcpus: &[VcpuTimes]) -> BTreeMap<u32, f64> {
    let stays = |vcpu: &&VcpuTimes| vcpu.ran_on.0.len() <= 1 && vcpu.allowed.as_ref().is_some_and(|on| on.0.len() == 1);
    let of = |core: &CoreTimes| {
        let may = |vcpu: &&VcpuTimes| vcpu.ran_on.0.contains(&core.cpu) || vcpu.allowed.as_ref().is_none_or(|on| on.0.contains(&core.cpu));
        let here: Vec<&VcpuTimes> = vcpus.iter().filter(may).collect();
        let own: f64 = here.iter().map(|vcpu| vcpu.guest + vcpu.host).sum();
        here.iter().all(stays).then(|| (core.cpu, (core.guest + core.host - own).max(0.0)))
    };
    cores.iter().filter_map(of).collect()
}

/// By how much the counts of a host CPU's time, by ticks, and of a thread's may differ in five seconds, in percent.
const COARSE: f64 = 5.0;

/// How much these threads ran together on one host CPU at most, in percent.
pub(super) fn most_of_a_cpu<'l>(loads: impl IntoIterator<Item = &'l Load>) -> f64 {
    let mut each: BTreeMap<u32, f64> = BTreeMap::new();
    for load in loads {
        *each.entry(load.cpu).or_default() += load.ran;
    }
    rounded(each.into_values().fold(0.0, f64::max))
}

/// The most that threads which were not seen used of one of these host CPUs, in percent: they began and ended between two
/// looks. None where that may be the coarseness of the counts.
pub(super) fn unseen(loads: &Reading<Vec<Load>>, used: &BTreeMap<u32, f64>, seconds: f64) -> f64 {
    let Reading::Known(loads) = loads else { return 0.0 };
    let seen = |cpu: u32| loads.iter().filter(|load| load.cpu == cpu).map(|load| load.ran).sum::<f64>();
    let most = rounded(used.iter().map(|(cpu, used)| used - seen(*cpu)).fold(0.0, f64::max));
    if most < COARSE * (5.0 / seconds).sqrt().max(1.0) { 0.0 } else { most }
}

/// By how much the two counts of a host CPU's time, by ticks and exactly, may differ, in percent.
const TICK: f64 = 2.0;

/// What ran on these host CPUs besides the virtual ones. Each slice of a thread's time counts where the slice ended; together,
/// no more than what the host used of that CPU.
pub(super) fn loads(samples: &[Sample], cpus: &CpuSet, used: &BTreeMap<u32, f64>) -> Reading<Vec<Load>> {
    let [first, .., last] = samples else { return Reading::Absent };
    let mut ran: BTreeMap<(u32, u32), (f64, &Thread, bool)> = BTreeMap::new();
    for pair in samples.windows(2) {
        let [before, after] = pair else { continue };
        let (others_before, others) = match (&before.others, &after.others) {
            (Reading::Known(before), Reading::Known(after)) => (before, after),
            (Reading::Unknown(because), _) | (_, Reading::Unknown(because)) => return Reading::Unknown(because.clone()),
            _ => return Reading::Absent,
        };
        let known: BTreeMap<(u32, u64), &Thread> =
            others_before.iter().chain(&before.threads).map(|thread| ((thread.tid, thread.started), thread)).collect();
        let own = after.threads.iter().filter(|thread| thread.vcpu().is_none()).map(|thread| (thread, true));
        for (thread, is_own) in others.iter().map(|thread| (thread, false)).chain(own) {
            if cpus.0.contains(&thread.cpu) {
                // One that is new has run since its beginning.
                let before = known.get(&(thread.tid, thread.started));
                ran.entry((thread.tid, thread.cpu)).or_insert((0.0, thread, is_own)).0 += time(before.copied(), thread);
            }
        }
    }
    let seconds = seconds(first, last);
    let mut all: BTreeMap<u32, f64> = BTreeMap::new();
    for ((_, cpu), (ran, ..)) in &ran {
        *all.entry(*cpu).or_default() += 100.0 * ran / seconds;
    }
    let part = |cpu: u32| {
        let most = used.get(&cpu).map(|used| used + TICK).zip(all.get(&cpu));
        most.map_or(1.0, |(most, all)| if *all > most { most / all } else { 1.0 })
    };
    let load = |((tid, cpu), (ran, thread, is_own)): ((u32, u32), (f64, &Thread, bool))| Load {
        pid: thread.pid,
        thread: tid,
        name: thread.name.clone(),
        is_kernel: thread.is_kernel,
        is_fixed: thread.is_fixed,
        is_own,
        cpu,
        ran: rounded(100.0 * ran / seconds * part(cpu)),
    };
    let mut loads: Vec<Load> = ran.into_iter().map(load).filter(|load| load.ran >= LEAST_LOAD).collect();
    loads.sort_by(|one, other| other.ran.total_cmp(&one.ran));
    Reading::Known(loads)
}

/// How long a thread ran, in seconds.
fn time(before: Option<&Thread>, after: &Thread) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "100")]
    let per_second = TICKS_PER_SECOND as f64;
    let of = |of: fn(&Thread) -> u64| grown(before.map_or(0, of), of(after));
    match (before.map_or(Some(0), |before| before.ran), after.ran) {
        (Some(before), Some(after)) => grown(before, after) / NANOSECONDS,
        _ => (of(|thread| thread.user) + of(|thread| thread.system)) / per_second,
    }
}

pub(super) fn cores(before: &Sample, after: &Sample, cpus: &CpuSet) -> Vec<CoreTimes> {
    let seconds = seconds(before, after);
    let timers = rates(&before.interrupts, &after.interrupts, seconds, |line| line.name == "LOC");
    let core = |cpu: &u32| {
        let (one, other) = (before.cpus.get(cpu)?, after.cpus.get(cpu)?);
        let of = |of: fn(&CpuTimes) -> u64| percent(grown(of(one), of(other)), seconds);
        let guest = of(|times| times.guest);
        Some(CoreTimes {
            cpu: *cpu,
            guest,
            host: rounded((of(|times| times.user) - guest).max(0.0) + of(|times| times.system)).min(100.0),
            interrupts: of(|times| times.interrupts),
            softirqs: of(|times| times.softirqs),
            steal: of(|times| times.steal),
            idle: of(|times| times.idle),
            timer: timers.iter().flatten().find_map(|(_, counts)| counts.get(cpu)).map(|rate| rounded(*rate)),
            mhz: None,
            most_mhz: None,
        })
    };
    cpus.0.iter().filter_map(core).collect()
}

type Rates<'a> = Vec<(&'a Interrupts, BTreeMap<u32, f64>)>;

/// How often a second the lines that are meant grew, for each host CPU.
fn rates<'a>(
    before: &Reading<Vec<Interrupts>>,
    after: &'a Reading<Vec<Interrupts>>,
    seconds: f64,
    is_meant: fn(&Interrupts) -> bool,
) -> Option<Rates<'a>> {
    let (Reading::Known(before), Reading::Known(after)) = (before, after) else { return None };
    let rate = |line: &'a Interrupts| {
        let old = before.iter().find(|old| old.name == line.name);
        let count = |cpu: &u32| old.and_then(|old| old.counts.get(cpu)).copied().unwrap_or(0);
        (line, line.counts.iter().map(|(cpu, now)| (*cpu, counted(count(cpu), *now) / seconds)).collect())
    };
    Some(after.iter().filter(|line| is_meant(line)).map(rate).collect())
}

/// vfio names its vectors `vfio-msi[0](0000:01:00.0)` (`vfio_msi_set_vector_signal`).
fn is_own(line: &Interrupts, functions: &[PciAddress]) -> bool {
    line.about.contains("vfio-") && functions.iter().any(|function| line.about.contains(&function.to_string()))
}

/// How often a second each of the functions interrupted, on any host CPU; one without a vector in the host is not among them.
pub(super) fn own_interrupts(before: &Sample, after: &Sample, functions: &[PciAddress]) -> Option<BTreeMap<PciAddress, f64>> {
    let all = rates(&before.interrupts, &after.interrupts, seconds(before, after), |_| true)?;
    let mut own = BTreeMap::new();
    for function in functions {
        for (_, counts) in all.iter().filter(|(line, _)| is_own(line, &[*function])) {
            *own.entry(*function).or_default() += counts.values().sum::<f64>();
        }
    }
    Some(own)
}

/// A line of interrupts that devices share, among them a passed function: which then has no interrupts by messages.
pub(super) struct SharedLine {
    pub(super) about: String,
    /// On any host CPU.
    pub(super) per_second: f64,
    /// Whether no device of the host has it too.
    pub(super) is_alone: bool,
}

/// Those of passed functions.
pub(super) fn shared_lines(before: &Sample, after: &Sample, functions: &[PciAddress]) -> Vec<SharedLine> {
    let all = rates(&before.interrupts, &after.interrupts, seconds(before, after), |line| line.about.contains("vfio-intx("));
    let own = all.into_iter().flatten().filter(|(line, _)| is_own(line, functions));
    let shared = own.map(|(line, counts)| SharedLine {
        about: line.about.clone(),
        per_second: rounded(counts.values().sum()),
        is_alone: line.about.split(", ").all(|name| name.contains("vfio-intx(")),
    });
    shared.collect()
}

/// Of each slot, the link on the way to it that can do least of what it could, at its best: its speed changes with what is to
/// be done.
pub(super) fn links(samples: &[Sample]) -> Vec<Link> {
    let mut best: Vec<Link> = Vec::new();
    for link in samples.iter().flat_map(|sample| &sample.links) {
        match best.iter_mut().find(|known| (known.address, known.switch) == (link.address, link.switch)) {
            Some(known) if (known.width, known.speed) < (link.width, link.speed) => *known = link.clone(),
            Some(_) => {}
            None => best.push(link.clone()),
        }
    }
    let mut slots: Vec<Link> = Vec::new();
    for link in best {
        match slots.iter_mut().find(|known| known.address.same_slot(link.address)) {
            Some(known) if part(&link).is_some_and(|part_of| part(known).is_none_or(|known| part_of < known)) => *known = link,
            Some(_) => {}
            None => slots.push(link),
        }
    }
    slots
}

/// How much of what it could do a link does, in thousandths, and how much that is.
fn part(link: &Link) -> Option<(u64, u64)> {
    let now = link.speed?.saturating_mul(link.width?);
    let most = link.most_speed?.saturating_mul(link.most_width?).max(1);
    Some((now.saturating_mul(1000) / most, now))
}

/// What a quota kept from the virtual CPUs in its group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held<'a> {
    pub(super) quota: &'a CpuQuota,
    /// Of the time, on all host CPUs together, in percent; `None` where it is unknown.
    pub(super) percent: Option<f64>,
}

/// Only of groups that were there the whole time.
pub(super) fn held<'a>(before: &Sample, after: &'a Sample) -> Reading<Vec<Held<'a>>> {
    let seconds = seconds(before, after);
    let known = before.quotas.as_ref().known().into_iter().flatten();
    let since: BTreeMap<&str, Duration> = known.filter_map(|quota| Some((quota.group.as_str(), quota.held?))).collect();
    after.quotas.as_ref().map(|quotas| {
        let percent = |quota: &CpuQuota| {
            let held = quota.held?.checked_sub(*since.get(quota.group.as_str())?)?.as_secs_f64();
            Some(rounded((100.0 * held / seconds).min(100.0)))
        };
        quotas.iter().map(|quota| Held { quota, percent: percent(quota) }).collect()
    })
}

/// All interrupts that came on these host CPUs; `None` where they are unknown. `functions` are the domain's own.
pub(super) fn interrupts(before: &Sample, after: &Sample, cpus: &CpuSet, functions: &[PciAddress]) -> Option<Vec<InterruptRate>> {
    lines(&before.interrupts, &after.interrupts, seconds(before, after), cpus, functions)
}

/// The same for what the kernel does behind them.
pub(super) fn softirqs(before: &Sample, after: &Sample, cpus: &CpuSet) -> Vec<InterruptRate> {
    lines(&before.softirqs, &after.softirqs, seconds(before, after), cpus, &[]).unwrap_or_default()
}

/// The lines of a table that grew on these host CPUs, the most first.
fn lines(
    before: &Reading<Vec<Interrupts>>,
    after: &Reading<Vec<Interrupts>>,
    seconds: f64,
    cpus: &CpuSet,
    functions: &[PciAddress],
) -> Option<Vec<InterruptRate>> {
    let all = rates(before, after, seconds, |_| true)?;
    let seen = |(line, counts): (&Interrupts, BTreeMap<u32, f64>)| {
        let on: BTreeMap<u32, f64> = counts.into_iter().filter(|(cpu, rate)| cpus.0.contains(cpu) && *rate > 0.0).collect();
        let per_second = rounded(on.values().sum());
        let is_own = is_own(line, functions);
        let cpus = CpuSet(on.into_keys().collect::<BTreeSet<u32>>());
        (per_second > 0.0).then(|| InterruptRate { name: line.name.clone(), about: line.about.clone(), cpus, per_second, is_own })
    };
    let mut all: Vec<InterruptRate> = all.into_iter().filter_map(seen).collect();
    all.sort_by(|one, other| other.per_second.total_cmp(&one.per_second));
    Some(all)
}

/// KVM's counters that are no counts of what happened, but of what there is now (`KVM_STAT_INSTANT` and `KVM_STAT_PEAK` of
/// arch/x86/kvm/x86.c).
const GAUGES: [&str; 11] = [
    "blocking",
    "guest_mode",
    "lpages",
    "max_mmu_page_hash_collisions",
    "max_mmu_rmap_size",
    "mmu_unsync",
    "nx_lpage_splits",
    "pages_1g",
    "pages_2m",
    "pages_4k",
    "nx_largepages_splits",
];

/// How much KVM's counters grew a second.
pub(super) fn exits(before: &Sample, after: &Sample) -> Reading<BTreeMap<String, f64>> {
    let seconds = seconds(before, after);
    before.kvm.as_ref().then(|before| {
        after.kvm.as_ref().map(|after| {
            let rate = |(name, now): (&String, &u64)| Some((name.clone(), rounded(counted(*before.get(name)?, *now) / seconds)));
            let counts = after.iter().filter(|(name, _)| !GAUGES.contains(&name.as_str()));
            counts.filter_map(rate).filter(|(name, rate)| *rate > 0.0 || name == "exits").collect()
        })
    })
}

/// Percent of the time that a host CPU works at least where its frequency is that of work.
pub(super) const AT_WORK: f64 = 50.0;

/// How fast these host CPUs ran while they worked, in kHz: of each the median of these slices. Of one without work, the kernel
/// knows an old frequency.
pub(super) fn speeds(samples: &[Sample], cpus: &CpuSet) -> BTreeMap<u32, u64> {
    let mut slices: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for pair in samples.windows(2) {
        let [before, after] = pair else { continue };
        let works = |core: &CoreTimes| seconds(before, after) > 0.0 && 100.0 - core.idle >= AT_WORK;
        for core in cores(before, after, cpus).into_iter().filter(works) {
            slices.entry(core.cpu).or_default().extend(after.khz.get(&core.cpu));
        }
    }
    let median = |(cpu, mut speeds): (u32, Vec<u64>)| {
        speeds.sort_unstable();
        Some((cpu, *speeds.get(speeds.len() / 2)?))
    };
    slices.into_iter().filter_map(median).collect()
}

/// How often heat or power slowed these host CPUs down.
pub(super) fn throttled(before: &Sample, after: &Sample, cpus: &CpuSet) -> Option<u64> {
    let of = |cpu: &u32| Some(after.throttled.get(cpu)?.saturating_sub(*before.throttled.get(cpu)?));
    cpus.0.iter().map(of).sum()
}

/// The idle state of one of these host CPUs that costs most.
pub(super) fn idle(before: &Sample, after: &Sample, cpus: &CpuSet) -> Option<IdleState> {
    let seconds = seconds(before, after);
    let states = cpus.0.iter().filter_map(|cpu| Some((before.idle.get(cpu)?, after.idle.get(cpu)?)));
    let rates = states.flat_map(|(before, after)| {
        let same = after.iter().filter_map(|now| Some((before.iter().find(|old| old.name == now.name)?, now)));
        same.map(|(old, now)| IdleState {
            name: now.name.clone(),
            per_second: rounded(grown(old.used, now.used) / seconds),
            microseconds: grown(0, now.latency),
        })
    });
    let cost = |state: &IdleState| state.per_second * state.microseconds;
    rates.max_by(|one, other| cost(one).total_cmp(&cost(other)))
}

pub(super) fn moments(samples: &[Sample], cpus: &CpuSet) -> Vec<Moment> {
    let Some(first) = samples.first() else { return Vec::new() };
    let moment = |pair: &[Sample]| {
        let [before, after] = pair else { return None };
        // The clock of a host that is busy stands still between two looks.
        if seconds(before, after) <= 0.0 {
            return None;
        }
        let all = exits(before, after).known().and_then(|exits| exits.get("exits").copied());
        Some(Moment { end: rounded(seconds(first, after)), cores: cores(before, after, cpus), exits: all })
    };
    samples.windows(2).filter_map(moment).collect()
}
