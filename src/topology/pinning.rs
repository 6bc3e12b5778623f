//! From a request to the CPUs of a guest, and how the guest sees them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::choice::CandidateCores;
use super::{Core, cores};
use crate::model::{CpuSet, Topology};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// As many as one L3 cache has available.
    Auto,
    /// This many.
    Exactly(u32),
}

/// Which cores of a hybrid processor may be used.
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
    /// What `any` adds to them.
    pub fn others(self) -> Option<&'static str> {
        match self {
            Self::Fitting | Self::Performance => Some("efficiency"),
            Self::Efficient => Some("performance"),
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinningError {
    Unknown,
    /// The host has only one core, which it needs itself.
    OneCore,
    /// Cores of the requested kinds have room only for this many virtual CPUs.
    TooFew(u32),
}

/// If vgapt chooses the number of the guest's CPUs, one core in this many stays with the host. The value
/// follows common guides: five cores of six, six of eight.
const HOSTS_SHARE: usize = 4;

/// Chooses the CPUs of a guest.
pub fn pin(topology: &Topology, demand: &PinningRequest) -> Result<Pinning, PinningError> {
    let all = cores(topology);
    let (_first, rest) = all.split_first().ok_or(PinningError::Unknown)?;
    if rest.is_empty() {
        return Err(PinningError::OneCore);
    }
    let of_kind = |core: &&Core| match demand.kinds {
        CoreKinds::Performance | CoreKinds::Fitting => !core.is_efficient,
        CoreKinds::Efficient => core.is_efficient,
        CoreKinds::Any => true,
    };
    let rest: Vec<&Core> = rest.iter().filter(|core| core.cpus.iter().all(|cpu| is_of_guests(topology, *cpu))).collect();
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
    let of = |low_power: bool| -> Vec<&Core> {
        rest.iter().copied().filter(|core| core.is_efficient && core.is_low_power == low_power).collect()
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
    Ok(pinned(topology, &chosen, count))
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
