//! From a request to the CPUs of a guest, and how the guest sees them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::choice::CandidateCores;
use super::core::{fastest, kinds};
use super::{Core, cores};
use crate::model::{CpuSet, Topology};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// As many as one L3 cache has available.
    Auto,
    /// This many.
    Exactly(u32),
}

/// Which cores of a processor with several kinds may be used. Of AMD's compact cores the kernel names no kind: they are efficiency
/// cores by their frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoreKinds {
    /// Performance cores; if they have no room, efficiency cores.
    #[default]
    Fitting,
    Performance,
    Efficient,
    Any,
}

impl CoreKinds {
    /// What `any` adds to them on this host.
    pub fn others(self, topology: &Topology) -> Option<&'static str> {
        let (fast, slow) = kinds(topology)?;
        match self {
            Self::Fitting | Self::Performance => Some(slow),
            Self::Efficient => Some(fast),
            Self::Any => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinningRequest {
    pub count: Count,
    pub kinds: CoreKinds,
    /// The NUMA node of the card.
    pub node: Option<u32>,
}

/// How a guest sees its virtual CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GuestTopology {
    pub sockets: u32,
    /// Dies of a socket; a die stands for an L3 cache.
    pub dies: u32,
    pub cores: u32,
    pub threads: u32,
}

impl GuestTopology {
    /// Cores of one socket, without threads: how a guest sees virtual CPUs that are not pinned.
    pub const fn flat(cpus: u32) -> Self {
        Self { sockets: 1, dies: 1, cores: cpus, threads: 1 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pinning {
    /// The host CPU of each virtual CPU.
    pub vcpus: Vec<u32>,
    /// The CPUs of the guest's cores: those above, and their siblings that no virtual CPU uses.
    pub taken: CpuSet,
    /// The host's CPUs on which the emulator and its I/O threads run.
    pub emulator: CpuSet,
    pub guest: GuestTopology,
    pub nodes: CpuSet,
    /// How many L3 caches they are in.
    pub caches: usize,
    /// Efficiency cores are used because the performance cores have room only for this many virtual CPUs.
    pub instead_of: Option<u32>,
    /// They are in smaller caches than this one, in KiB, which has room only for so many virtual CPUs.
    #[serde(skip)]
    pub larger_cache: Option<(u64, u32)>,
    /// Not all are isolated, because the isolated ones have room only for so many virtual CPUs.
    #[serde(skip)]
    pub room_isolated: Option<u32>,
    /// Some are other guests' too, because what these leave has room only for so many virtual CPUs.
    #[serde(skip)]
    pub room_beside: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinningError {
    Unknown,
    /// The host has only one core, which it needs itself.
    OneCore,
    /// Cores of the requested kinds have room only for this many virtual CPUs.
    TooFew(u32),
    /// The host has no cores of the requested kind.
    NoSuchCores,
}

/// What it means that a kind is not there: performance cores always are.
pub const NO_SUCH_CORES: &str = "the host's processor has no efficiency cores: all its cores are of one kind";

/// If vgapt chooses the number of the guest's CPUs, one core in this many stays with the host. The value
/// follows common guides: five cores of six, six of eight.
const HOSTS_SHARE: usize = 4;

/// Chooses the CPUs of a guest: as if it were alone, and as many beside other guests if that is possible on cores of the same kind.
pub fn pin(topology: &Topology, demand: &PinningRequest) -> Result<Pinning, PinningError> {
    let alone = choose(topology, demand, &CpuSet::default())?;
    if alone.taken.0.is_disjoint(&topology.used.0) {
        return Ok(alone);
    }
    let as_many = PinningRequest { count: Count::Exactly(number(alone.vcpus.len())), ..*demand };
    let is_as_good =
        |beside: &Pinning| beside.instead_of.is_some() == alone.instead_of.is_some() && beside.guest.threads >= alone.guest.threads;
    match choose(topology, &as_many, &topology.used) {
        Ok(beside) if is_as_good(&beside) => Ok(beside),
        Err(PinningError::TooFew(room)) => Ok(Pinning { room_beside: Some(room), ..alone }),
        _ => Ok(alone),
    }
}

/// The best CPUs that are not `used`.
fn choose(topology: &Topology, demand: &PinningRequest, used: &CpuSet) -> Result<Pinning, PinningError> {
    let all = cores(topology);
    let (_first, rest) = all.split_first().ok_or(PinningError::Unknown)?;
    if rest.is_empty() {
        return Err(PinningError::OneCore);
    }
    let fastest = fastest(&all);
    let of_kind = |core: &&Core| match demand.kinds {
        CoreKinds::Performance | CoreKinds::Fitting => !core.is_slower(fastest),
        CoreKinds::Efficient => core.is_slower(fastest),
        CoreKinds::Any => true,
    };
    if !all.iter().any(|core| of_kind(&core)) {
        return Err(PinningError::NoSuchCores);
    }
    let is_free = |core: &&Core| !core.is_among(used) && core.cpus.iter().all(|cpu| is_of_guests(topology, *cpu));
    let rest: Vec<&Core> = rest.iter().filter(is_free).collect();
    let result = among(topology, demand, &all, rest.iter().copied().filter(of_kind).collect());
    match result {
        Err(PinningError::TooFew(room)) if demand.kinds == CoreKinds::Fitting => {
            small(topology, demand, (&all, &rest), room).ok_or(PinningError::TooFew(room))
        }
        result => result,
    }
}

/// Efficiency cores, if the performance cores have no room: of one cluster if one has room, since its cores
/// share a cache; low-power cores last.
fn small(topology: &Topology, demand: &PinningRequest, (all, rest): (&[Core], &[&Core]), room: u32) -> Option<Pinning> {
    let fastest = fastest(all);
    let of = |low_power: bool| -> Vec<&Core> {
        rest.iter().copied().filter(|core| core.is_slower(fastest) && core.is_low_power == low_power).collect()
    };
    [of(false), of(true)].into_iter().find_map(|kind| {
        let clusters: BTreeSet<u32> = kind.iter().map(|core| core.cluster).collect();
        let cluster = |first: u32| -> Vec<&Core> { kind.iter().copied().filter(|core| core.cluster == first).collect() };
        let mut choices: Vec<Vec<&Core>> = clusters.into_iter().map(cluster).collect();
        // Sorting is stable: of equal ones the first stays the first.
        choices.sort_by_key(|cores| {
            let near = cores.iter().any(|core| Some(core.node) == demand.node);
            std::cmp::Reverse((near, cores.len(), cores.iter().map(|core| core.max_khz).max()))
        });
        choices.push(kind.clone());
        let chosen = choices.into_iter().find_map(|cores| among(topology, demand, all, cores).ok())?;
        Some(Pinning { instead_of: Some(room), ..chosen })
    })
}

/// Whether control groups let a guest run there.
fn is_of_guests(topology: &Topology, cpu: u32) -> bool {
    topology.of_guests.as_ref().is_none_or(|cpus| cpus.0.contains(&cpu))
}

fn among(topology: &Topology, demand: &PinningRequest, all: &[Core], mut candidates: Vec<&Core>) -> Result<Pinning, PinningError> {
    // Cores are isolated for guests. If they do not suffice, any core is used.
    let isolated: Vec<&Core> =
        candidates.iter().copied().filter(|core| core.cpus.iter().all(|cpu| topology.isolated.0.contains(cpu))).collect();
    let room: usize = isolated.iter().map(|core| core.cpus.len()).sum();
    if room > 0 && !matches!(demand.count, Count::Exactly(count) if count as usize > room) {
        candidates = isolated;
    }
    let threads = candidates.iter().map(|core| core.cpus.len()).max().ok_or(PinningError::TooFew(0))?;
    // All cores of a guest have the same number of threads, so cores with fewer threads come last.
    let full: Vec<&Core> = candidates.iter().copied().filter(|core| core.cpus.len() == threads).collect();
    let offer = CandidateCores { all, free: full, node: demand.node };
    let count = match demand.count {
        Count::Exactly(cpus) => usize::try_from(cpus).unwrap_or(usize::MAX).max(1),
        Count::Auto => {
            let keep = (all.len() / HOSTS_SHARE).max(1);
            offer.best_cache().min(all.len() - keep).max(1) * threads
        }
    };
    let chosen = offer.choose(count.div_ceil(threads)).or_else(|| mixed(&candidates, count));
    let chosen = chosen.ok_or_else(|| PinningError::TooFew(number(candidates.iter().map(|core| core.cpus.len()).sum())))?;
    let is_isolated = |core: &&Core| core.cpus.iter().all(|cpu| topology.isolated.0.contains(cpu));
    let room_isolated = (!topology.isolated.0.is_empty() && !chosen.iter().all(is_isolated)).then(|| number(room));
    Ok(Pinning { room_isolated, larger_cache: larger_cache(&candidates, &chosen), ..pinned(topology, &chosen, count) })
}

/// The largest cache on the nodes of the chosen cores, if all of these are in smaller ones, and how many virtual CPUs it has room for.
fn larger_cache(candidates: &[&Core], chosen: &[&Core]) -> Option<(u64, u32)> {
    let near = || candidates.iter().filter(|core| chosen.iter().any(|other| other.node == core.node));
    let kib = near().map(|core| core.l3_kib).max()?;
    let room = |l3: usize| near().filter(|core| core.l3 == l3).map(|core| core.cpus.len()).sum::<usize>();
    let most = near().filter(|core| core.l3_kib == kib).map(|core| room(core.l3)).max()?;
    chosen.iter().all(|core| core.l3_kib > 0 && core.l3_kib < kib).then_some((kib, number(most)))
}

/// Cores of different kinds, the ones with more threads first.
fn mixed<'c>(candidates: &[&'c Core], count: usize) -> Option<Vec<&'c Core>> {
    let mut sorted = candidates.to_vec();
    sorted.sort_by_key(|core| (std::cmp::Reverse(core.cpus.len()), core.first()));
    let mut chosen = Vec::new();
    let mut threads = 0;
    for core in sorted {
        if threads < count {
            threads += core.cpus.len();
            chosen.push(core);
        }
    }
    (threads >= count).then_some(chosen)
}

fn pinned(topology: &Topology, chosen: &[&Core], count: usize) -> Pinning {
    let vcpus: Vec<u32> = chosen.iter().flat_map(|core| core.cpus.iter().copied()).take(count).collect();
    let taken: BTreeSet<u32> = chosen.iter().flat_map(|core| core.cpus.iter().copied()).collect();
    let nodes: BTreeSet<u32> = chosen.iter().map(|core| core.node).collect();
    let left: BTreeSet<u32> = topology.online.0.difference(&taken).copied().filter(|cpu| is_of_guests(topology, *cpu)).collect();
    let left = if left.is_empty() { taken.clone() } else { left };
    let unused: BTreeSet<u32> = left.difference(&topology.used.0).copied().collect();
    let left = if unused.is_empty() { left } else { unused };
    // The kernel does not balance threads between isolated CPUs.
    let shared: BTreeSet<u32> = left.difference(&topology.isolated.0).copied().collect();
    let left = if shared.is_empty() { left } else { shared };
    let near: BTreeSet<u32> = topology
        .cpus
        .iter()
        .filter(|cpu| left.contains(&cpu.cpu) && nodes.contains(&cpu.node.unwrap_or_default()))
        .map(|cpu| cpu.cpu)
        .collect();
    Pinning {
        guest: seen(chosen, count),
        vcpus,
        taken: CpuSet(taken),
        emulator: CpuSet(if near.is_empty() { left } else { near }),
        nodes: CpuSet(nodes),
        caches: chosen.iter().map(|core| core.l3).collect::<BTreeSet<_>>().len(),
        instead_of: None,
        larger_cache: None,
        room_isolated: None,
        room_beside: None,
    }
}

/// The guest's cores as the guest sees them: a socket for each package and a die for each L3 cache,
/// if each has the same number of cores; else all in one.
fn seen(chosen: &[&Core], count: usize) -> GuestTopology {
    let threads = chosen.first().map_or(1, |core| core.cpus.len());
    if chosen.iter().any(|core| core.cpus.len() != threads) || chosen.len() * threads != count {
        return GuestTopology::flat(number(count));
    }
    let packages = equal_parts(chosen.iter().map(|core| core.package as usize));
    let caches = equal_parts(chosen.iter().map(|core| core.l3));
    let sockets = packages.unwrap_or(1);
    let dies = caches.filter(|caches| caches % sockets == 0).map_or(1, |caches| caches / sockets);
    GuestTopology { sockets: number(sockets), dies: number(dies), cores: number(chosen.len() / sockets / dies), threads: number(threads) }
}

/// How a guest sees virtual CPUs that are on these host CPUs, in order: as threads of a core where each of its cores is a whole one of
/// the host's.
pub fn seen_on(topology: &Topology, vcpus: &[u32]) -> GuestTopology {
    let all = cores(topology);
    let core_of = |cpu: &u32| all.iter().find(|core| core.cpus.contains(cpu));
    let threads = vcpus.first().and_then(core_of).map_or(1, |core| core.cpus.len().max(1));
    let whole = |vcpus: &[u32]| core_of(vcpus.first()?).filter(|core| core.cpus == vcpus);
    let chosen: Option<Vec<&Core>> = vcpus.chunks(threads).map(whole).collect();
    chosen.map_or_else(|| GuestTopology::flat(number(vcpus.len())), |chosen| seen(&chosen, vcpus.len()))
}

/// The number of different values, if each occurs equally often.
fn equal_parts(values: impl Iterator<Item = usize>) -> Option<usize> {
    let values: Vec<usize> = values.collect();
    let different: BTreeSet<usize> = values.iter().copied().collect();
    let often = |value: &usize| values.iter().filter(|other| *other == value).count();
    let first = often(values.first()?);
    different.iter().all(|value| often(value) == first).then_some(different.len())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
