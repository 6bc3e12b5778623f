//! The cores of a host, each with what it shares.

use std::collections::BTreeSet;

use schemars::JsonSchema;

use crate::model::{CpuSet, LogicalCpu, Topology};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct Core {
    /// Its logical CPUs that are online, in order.
    pub cpus: Vec<u32>,
    /// Socket.
    pub package: u32,
    pub node: u32,
    /// The number of its L3 cache, counted from 0 by the caches' first CPUs.
    pub l3: usize,
    /// Size of that cache in KiB; 0 where it is not known.
    pub l3_kib: u64,
    pub is_efficient: bool,
    /// Whether it is a low-power core; these are apart from all others.
    #[serde(skip)]
    pub is_low_power: bool,
    /// The first CPU of those that share its L2 cache: efficiency cores come in clusters.
    #[serde(skip)]
    pub cluster: u32,
    /// Its highest frequency in kHz; 0 where it is not known.
    pub max_khz: u64,
}

impl Core {
    /// Whether one of its logical CPUs is among these.
    pub fn is_among(&self, cpus: &CpuSet) -> bool {
        self.cpus.iter().any(|cpu| cpus.0.contains(cpu))
    }

    /// Whether it is of a slower kind than the host's fastest core, which has this frequency. Of AMD's compact cores the kernel
    /// names no kind, but they have at most three quarters of it (Ryzen AI 9 HX 370: 3.3 of 5.1 GHz, Ryzen 5 8500G: 3.7 of 5.0);
    /// of cores of one kind, the slowest have nine tenths (Ryzen 9 7950X3D: 5.25 of 5.7 GHz).
    pub fn is_slower(&self, fastest_khz: u64) -> bool {
        self.is_efficient || (self.max_khz > 0 && self.max_khz * 5 < fastest_khz * 4)
    }

    /// Its number among all logical CPUs: that of its first one.
    pub fn first(&self) -> u32 {
        self.cpus.first().copied().unwrap_or_default()
    }
}

/// The cores of a host in order of their first CPUs.
pub fn cores(topology: &Topology) -> Vec<Core> {
    let domains = l3_caches(topology);
    let mut seen = BTreeSet::new();
    let mut cores = Vec::new();
    for cpu in &topology.cpus {
        if !seen.insert(cpu.cpu) {
            continue;
        }
        // A sibling that is offline does not count, nor does one that already belongs to another core.
        let mut cpus: Vec<u32> = cpu.siblings.0.intersection(&topology.online.0).copied().filter(|sibling| seen.insert(*sibling)).collect();
        cpus.push(cpu.cpu);
        cpus.sort_unstable();
        let threads = topology.cpus.iter().filter(|thread| cpus.contains(&thread.cpu));
        let l3 = domains.iter().position(|domain| domain.cpus.contains(&cpu.cpu)).unwrap_or_default();
        let l2 = topology.caches.iter().find(|cache| cache.level == 2 && cache.cpus.0.contains(&cpu.cpu));
        cores.push(Core {
            is_low_power: cpu.kind.as_deref() == Some("lowpower"),
            cluster: l2.and_then(|cache| cache.cpus.0.first().copied()).unwrap_or(cpu.cpu),
            max_khz: threads.filter_map(|thread| thread.max_khz).max().unwrap_or_default(),
            cpus,
            package: cpu.package.unwrap_or_default(),
            node: cpu.node.unwrap_or_default(),
            l3,
            l3_kib: domains.get(l3).map_or(0, |domain| domain.kib),
            // The kernel's own names: cpu_core, cpu_atom, cpu_lowpower.
            is_efficient: matches!(cpu.kind.as_deref(), Some("atom" | "lowpower")),
        });
    }
    cores.sort_by_key(Core::first);
    cores
}

/// What the fast and the slower cores of a host are called; `None` where all are of one kind.
pub fn kinds(topology: &Topology) -> Option<(&'static str, &'static str)> {
    let all = cores(topology);
    let fastest = fastest(&all);
    let are_named = all.iter().any(|core| core.is_efficient);
    let names = if are_named { ("performance", "efficiency") } else { ("fast", "slower") };
    all.iter().any(|core| core.is_slower(fastest)).then_some(names)
}

/// The frequency of the fastest core, in kHz.
pub(super) fn fastest(cores: &[Core]) -> u64 {
    cores.iter().filter(|core| !core.is_efficient).map(|core| core.max_khz).max().unwrap_or_default()
}

struct L3Cache {
    cpus: BTreeSet<u32>,
    kib: u64,
}

/// The CPUs by the L3 cache that they share; where none is known, by package, die and node.
fn l3_caches(topology: &Topology) -> Vec<L3Cache> {
    let mut domains: Vec<L3Cache> = Vec::new();
    for cpu in topology.cpus.iter().filter(|cpu| topology.online.0.contains(&cpu.cpu)) {
        if domains.iter().any(|domain| domain.cpus.contains(&cpu.cpu)) {
            continue;
        }
        let cache = topology.caches.iter().find(|cache| cache.level == 3 && cache.cpus.0.contains(&cpu.cpu));
        domains.push(match cache {
            Some(cache) => L3Cache { cpus: cache.cpus.0.clone(), kib: cache.size.map_or(0, crate::model::Size::kib) },
            None => L3Cache { cpus: neighbours(topology, cpu).0, kib: 0 },
        });
    }
    domains
}

fn neighbours(topology: &Topology, cpu: &LogicalCpu) -> CpuSet {
    let place = |cpu: &LogicalCpu| (cpu.package, cpu.die, cpu.node, cpu.kind.clone());
    let cached = |other: &LogicalCpu| topology.caches.iter().any(|cache| cache.level == 3 && cache.cpus.0.contains(&other.cpu));
    let near = topology.cpus.iter().filter(|other| place(other) == place(cpu) && !cached(other));
    CpuSet(near.map(|other| other.cpu).chain(cpu.siblings.0.iter().copied()).collect())
}
