//! The guest's own NUMA nodes (cells): a guest whose virtual CPUs or memory are on several nodes of the host, and that does not
//! know, takes memory of any of them for a task on any processor. Windows and Linux both know nodes without processors
//! (`GetNumaNodeProcessorMaskEx`; Documentation/mm/numa.rst).

use std::collections::BTreeSet;

use crate::domain::edit::{Edit, Part};
use crate::model::{CpuSet, Finding, HOST_KEEPS_ONE_IN, Host, Size, Topology};
use crate::topology::Pinning;

/// Where the vCPUs of a guest are; nowhere, if they are not pinned.
#[derive(Default)]
pub(super) struct Placement {
    /// The host's node of each vCPU.
    pub(super) nodes: Vec<u32>,
    /// How many vCPUs in a row share an L3 cache, as the guest sees it.
    pub(super) per_cache: usize,
}

impl Placement {
    /// By the host CPUs of each vCPU; `None` where these are on several nodes, or one's node is unknown.
    pub(super) fn of<'c>(topology: &Topology, vcpus: impl IntoIterator<Item = &'c [u32]>, per_cache: usize) -> Option<Self> {
        let node = |cpu: &u32| topology.cpus.iter().find(|known| known.cpu == *cpu)?.node;
        let of_all = |cpus: &[u32]| {
            let first = node(cpus.first()?)?;
            cpus.iter().all(|cpu| node(cpu) == Some(first)).then_some(first)
        };
        Some(Self { nodes: vcpus.into_iter().map(of_all).collect::<Option<_>>()?, per_cache })
    }

    pub(super) fn of_pinning(topology: &Topology, pinning: &Pinning) -> Option<Self> {
        let per_cache = pinning.guest.cores.saturating_mul(pinning.guest.threads);
        Self::of(topology, pinning.vcpus.chunks(1), usize::try_from(per_cache).unwrap_or(usize::MAX))
    }
}

/// A NUMA node of a guest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The host's node of its processors and its memory.
    pub(super) node: u32,
    vcpus: BTreeSet<u32>,
    pub(super) memory: Size,
}

/// The cells of a guest: one for each node of its vCPUs, with memory in proportion to them, and one without vCPUs for each
/// further node whose memory it needs, near ones first. Memory is divided in whole `pages`.
///
/// # Errors
/// Why it has none.
pub(super) fn cells(placement: &Placement, memory: Size, page: Size, host: &Host) -> Result<Vec<Cell>, &'static str> {
    let room = |node: u32| {
        let of_node = host.memory.nodes.iter().find(|(known, _)| *known == node);
        of_node.map_or(0, |(_, all)| whole(all.bytes() - all.bytes() / HOST_KEEPS_ONE_IN, page))
    };
    if host.memory.nodes.is_empty() {
        return Err("how much memory each node of the host has is unknown");
    }
    let near: BTreeSet<u32> = placement.nodes.iter().copied().collect();
    if near.iter().any(|node| room(*node) == 0) {
        return Err("a node of its processors has no memory");
    }
    // Linux ignores a cache that it finds on two nodes, with a warning (topology_sane of arch/x86/kernel/smpboot.c).
    if placement.nodes.chunks(placement.per_cache.max(1)).any(|cache| cache.iter().any(|node| *node != cache[0])) {
        return Err("its processors cannot be divided into equal parts of which each is on one node");
    }
    let all = placement.nodes.len() as u64;
    let mut cells: Vec<Cell> =
        near.iter().map(|node| Cell { node: *node, vcpus: of_node(placement, *node), memory: Size::default() }).collect();
    let mut rest = memory.bytes();
    for cell in &mut cells {
        let share = u128::from(memory.bytes()) * cell.vcpus.len() as u128 / u128::from(all.max(1));
        let part = whole(u64::try_from(share).unwrap_or(u64::MAX), page).min(room(cell.node));
        cell.memory = Size::from_bytes(part);
        rest -= part;
    }
    for cell in &mut cells {
        let more = rest.min(room(cell.node) - cell.memory.bytes());
        cell.memory = Size::from_bytes(cell.memory.bytes() + more);
        rest -= more;
    }
    for node in host.nodes_beside(&near) {
        let part = rest.min(room(node));
        rest -= part;
        if part > 0 {
            cells.push(Cell { node, vcpus: BTreeSet::new(), memory: Size::from_bytes(part) });
        }
    }
    match () {
        () if rest > 0 => Err("the nodes of the host have too little memory together"),
        () if cells.len() < 2 => Err("its processors and its memory are on one node"),
        () if cells.iter().any(|cell| cell.memory.bytes() == 0) => Err("it has too little memory for a part on each node"),
        () => Ok(cells),
    }
}

fn whole(bytes: u64, page: Size) -> u64 {
    bytes - bytes % page.bytes().max(1)
}

fn of_node(placement: &Placement, node: u32) -> BTreeSet<u32> {
    (0..).zip(&placement.nodes).filter(|(_, of)| **of == node).map(|(vcpu, _)| vcpu).collect()
}

/// Part of its memory is on nodes where it has no processors.
pub(super) fn far(cells: &[Cell]) -> Option<Finding> {
    let sum = |is_in: fn(&Cell) -> bool| Size::from_bytes(cells.iter().filter(|cell| is_in(cell)).map(|cell| cell.memory.bytes()).sum());
    let (far, all) = (sum(|cell| cell.vcpus.is_empty()), sum(|_| true));
    (far > Size::default()).then(|| {
        let message = format!("{far} of the guest's {all} are on NUMA nodes without its vCPUs, which the guest sees");
        Finding::warning("far-memory", message, "use less with --memory: memory of another node is slower")
    })
}

/// The elements for them: the cells, and the node of each one's memory.
pub(super) fn edits(cells: &[Cell]) -> Vec<Edit> {
    let put = |path: String| Edit::put(Part::Numa, path);
    let nodes = CpuSet(cells.iter().map(|cell| cell.node).collect());
    let numbered = || cells.iter().enumerate();
    let seen = numbered().map(|(id, cell)| {
        let vcpus = (!cell.vcpus.is_empty()).then(|| CpuSet(cell.vcpus.clone()));
        put(format!("cpu/numa/cell[id={id}]")).with_or_without("cpus", vcpus).with("memory", cell.memory.kib()).with("unit", "KiB")
    });
    let memory =
        numbered().map(|(id, cell)| put(format!("numatune/memnode[cellid={id}]")).with("mode", "strict").with("nodeset", cell.node));
    std::iter::once(put("numatune/memory".to_owned()).with("mode", "strict").with("nodeset", nodes)).chain(seen).chain(memory).collect()
}
