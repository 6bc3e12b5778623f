//! The size of the huge pages, where it is not the host's default; and memory from the NUMA nodes of the guest's CPUs and
//! its card.

use std::collections::BTreeSet;

use super::cells::{self, Cell, Placement};
use super::question::TuningInput;
use crate::domain::base::Base;
use crate::domain::edit::{Edit, Part};
use crate::domain::request::Request;
use crate::domain_xml::{cells as cells_of, memory, nodes_of_memory, page_size, pins};
use crate::model::{CpuSet, Finding, Host, Size};

/// Pages of this size save one more level of page table walks; used if they are available.
const LARGE: Size = Size::from_mib(1024);

/// The huge pages of x86 that the kernel also forms by itself.
const SMALL: Size = Size::from_mib(2);

/// Written where it is decided.
pub(super) fn pages(question: &TuningInput<'_>, placement: Option<&Placement>) -> Option<Vec<Edit>> {
    // In KiB, as libvirt writes it.
    let put = |page: Size| Edit::put(Part::Pages, "memoryBacking/hugepages/page").with("size", page.kib()).with("unit", "KiB");
    Some(size_of_pages(question, placement)?.map(put).into_iter().collect())
}

/// The size to write, if any. Decided if the request changes the huge pages or the memory, and once for a new domain from
/// vgapt's template.
#[expect(clippy::option_option, reason = "the outer one: not decided; the inner one: the host's default, which is not written")]
fn size_of_pages(question: &TuningInput<'_>, placement: Option<&Placement>) -> Option<Option<Size>> {
    let TuningInput { base, wanted, host, .. } = question;
    let is_requested = base.differs(|request| (request.hugepages, request.tuning.hugepage_size, request.memory));
    let is_new = question.is_ours() && wanted.hugepages;
    if !is_requested && !is_new {
        return None;
    }
    let memory = wanted.memory.or_else(|| memory(base.domain.root()))?;
    let whole = memory.bytes() > 0 && memory.bytes() % LARGE.bytes() == 0;
    // libvirt uses only hugetlbfs mounts that existed when it started.
    let mounted = host.memory.hugetlbfs.iter().any(|(_, page)| *page == Some(LARGE));
    let are_free = || are_free(question, placement, memory);
    let page = wanted.tuning.hugepage_size.or_else(|| Some(LARGE).filter(|_| whole && mounted && are_free()));
    Some(page.filter(|page| wanted.hugepages && Some(*page) != host.memory.default_hugepage))
}

/// Whether enough large pages are free on the nodes that the guest's memory is from. Where that is unknown, they do not count:
/// what is missing of them can rarely be reserved later.
fn are_free(question: &TuningInput<'_>, placement: Option<&Placement>, memory: Size) -> bool {
    let Some(parts) = parts(question, placement, memory) else { return false };
    parts.iter().all(|(nodes, part)| {
        let free = free_on(question.host, nodes, LARGE);
        free.is_some_and(|free| free >= part.bytes().div_ceil(LARGE.bytes()))
    })
}

/// Free pages on any of these nodes; without nodes, on all.
fn free_on(host: &Host, nodes: &BTreeSet<u32>, page: Size) -> Option<u64> {
    if nodes.is_empty() {
        return host.memory.pool(page).map(|pool| pool.free);
    }
    nodes.iter().try_fold(0_u64, |sum, node| Some(sum.saturating_add(host.memory.pool_of_node(page, *node)?.free)))
}

/// From which nodes the memory will be, and how much of it, in large pages; `None` where it is unknown.
fn parts(question: &TuningInput<'_>, placement: Option<&Placement>, memory: Size) -> Option<Vec<(BTreeSet<u32>, Size)>> {
    let TuningInput { base, host, .. } = question;
    let root = base.domain.root();
    // What somebody else wrote, or changed, stays.
    let is_ours = base.last.as_ref().is_some_and(|last| last.written.has(Part::Numa) && !last.written.is_changed(Part::Numa, root));
    let is_of_others = root.child("numatune").is_some() && !is_ours;
    let Some(placement) = placement.filter(|_| !is_of_others) else {
        let parts = nodes_of_memory(root, memory).ok()?;
        return Some(parts.into_iter().map(|(node, part)| (node.into_iter().collect(), part)).collect());
    };
    let (nodes, there) = (placement.nodes.iter().copied().collect::<BTreeSet<u32>>(), nodes_of_cpus(host));
    if there.len() < 2 || nodes.is_empty() {
        return Some(vec![(BTreeSet::new(), memory)]);
    }
    if let Some(Ok(cells)) = cells_of_guest(question, placement, Some(memory), LARGE) {
        let of_node = |node: u32| cells.iter().filter(|cell| cell.node == node).map(|cell| cell.memory.bytes()).sum();
        let nodes: BTreeSet<u32> = cells.iter().map(|cell| cell.node).collect();
        return Some(nodes.into_iter().map(|node| ([node].into(), Size::from_bytes(of_node(node)))).collect());
    }
    let is_bound = nodes != there && too_small(host, &nodes, memory).is_none();
    Some(vec![(if is_bound { nodes } else { BTreeSet::new() }, memory)])
}

/// Memory of a domain with a passed device is all allocated at its start, because it is pinned; pinning clears one page after
/// another in one thread, which takes four fifths of its time (QEMU commit 4d83de6da265). So it is allocated before, by as
/// many threads as the guest has processors (`host_memory_backend_init` of QEMU's backends/hostmem.c). libvirt does that
/// for huge pages by itself. Written for a new domain from vgapt's template, and again when its devices or its pages change,
/// also where nothing was written before.
pub(super) fn allocation(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let TuningInput { base, wanted, passed, .. } = question;
    let is_changed = question.is_of_template() && base.differs(|request| (request.hugepages, request.gpu.clone(), request.pci.clone()));
    if !question.is_ours() && !is_changed {
        return None;
    }
    let is_pinned_in_small_pages = !passed.is_empty() && !wanted.hugepages;
    let immediate = Edit::put(Part::Allocation, "memoryBacking/allocation").with("mode", "immediate");
    Some(is_pinned_in_small_pages.then_some(immediate).into_iter().collect())
}

/// What is decided of the nodes.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) edits: Vec<Edit>,
    pub(super) findings: Vec<Finding>,
}

/// `strict`: if the nodes have too little free memory, the start fails, instead of a guest that is always slow. A guest on
/// several nodes gets nodes of its own (cells). If the nodes are too small for the guest, the setting is omitted with a
/// warning. Decided with the pinning, and again if the memory or its pages change; `None` leaves it unchanged.
pub(super) fn numa(question: &TuningInput<'_>, placement: Option<&Placement>) -> Option<Nodes> {
    let TuningInput { base, wanted, host, .. } = question;
    let placement = placement?;
    let nodes = CpuSet(placement.nodes.iter().copied().collect());
    let there = nodes_of_cpus(host);
    let asked_for_cells = wanted.tuning.guest_numa.filter(|_| base.differs(|request| request.tuning.guest_numa));
    if there.len() < 2 || nodes.0.is_empty() {
        let findings = (asked_for_cells == Some(true)).then(|| no_cells("its processors are pinned to no node of several"));
        return Some(Nodes { findings: findings.into_iter().collect(), ..Nodes::default() });
    }
    let asked = wanted.memory.or_else(|| memory(base.domain.root()));
    let (cells, why) = match cells_of_guest(question, placement, asked, page_of_memory(question, placement)) {
        None => (None, None),
        Some(Ok(cells)) => (Some(cells), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let mut findings: Vec<Finding> = Vec::new();
    if nodes.0.len() > 1 {
        let seen = why.map(|why| format!(", and the guest gets none of its own: {why}"));
        let seen = seen.or_else(|| cells.is_some().then(|| ", which the guest sees as its own".to_owned())).unwrap_or_default();
        findings.push(Finding::warning(
            "spans-nodes",
            format!("{} vCPUs do not fit on one NUMA node: they are on the nodes {nodes}{seen}", placement.nodes.len()),
            "use fewer with --cpus: memory of another node is slower",
        ));
    } else if asked_for_cells == Some(true) {
        findings.extend(why.map(no_cells));
    }
    if let Some(cells) = cells {
        findings.extend(cells::far(&cells));
        return Some(Nodes { edits: cells::edits(&cells), findings });
    }
    if nodes.0 == there {
        return Some(Nodes { findings, ..Nodes::default() });
    }
    if let Some((asked, total)) = asked.and_then(|asked| Some((asked, too_small(host, &nodes.0, asked)?))) {
        let has = if total == Size::default() { "no memory".to_owned() } else { format!("only {total} in total") };
        let message = format!("the domain needs {asked}, but NUMA node {nodes} of its CPUs has {has}");
        findings.push(Finding::warning("node-too-small", message, "use less with --memory: memory of another node is slower"));
        return Some(Nodes { findings, ..Nodes::default() });
    }
    Some(Nodes { edits: vec![Edit::put(Part::Numa, "numatune/memory").with("mode", "strict").with("nodeset", &nodes)], findings })
}

/// The guest's own nodes, or why it has none; `None` where it is to have none.
fn cells_of_guest(
    question: &TuningInput<'_>,
    placement: &Placement,
    asked: Option<Size>,
    page: Size,
) -> Option<Result<Vec<Cell>, &'static str>> {
    let TuningInput { base, wanted, host, .. } = question;
    match asked {
        _ if wanted.tuning.guest_numa == Some(false) => None,
        _ if has_cells_of_others(base) => Some(Err("it has cells that vgapt did not write")),
        None => Some(Err("how much memory it has is unknown")),
        Some(asked) => Some(cells::cells(placement, asked, page, host)),
    }
}

fn nodes_of_cpus(host: &Host) -> BTreeSet<u32> {
    host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect()
}

/// The memory of these nodes, if it is known and not more than what is asked for.
fn too_small(host: &Host, nodes: &BTreeSet<u32>, asked: Size) -> Option<Size> {
    let known: Vec<u64> = host.memory.nodes.iter().filter(|(node, _)| nodes.contains(node)).map(|(_, size)| size.bytes()).collect();
    let total = Size::from_bytes(known.iter().sum());
    (!known.is_empty() && asked >= total).then_some(total)
}

fn no_cells(why: &str) -> Finding {
    let message = format!("the guest gets no NUMA nodes of its own: {why}");
    Finding::warning("no-guest-numa", message, "leave --guest-numa out: a guest that spans nodes gets them where it can")
}

fn has_cells_of_others(base: &Base) -> bool {
    let has_ours = base.last.as_ref().is_some_and(|last| last.written.of(Part::Numa).any(|(path, _)| path.starts_with("cpu/numa")));
    let root = base.domain.root();
    !has_ours && (cells_of(root).next().is_some() || root.at("numatune/memnode").is_some())
}

/// The pages in which memory can be divided.
fn page_of_memory(question: &TuningInput<'_>, placement: &Placement) -> Size {
    let now = question.base.domain.root().at("memoryBacking/hugepages/page").and_then(page_size);
    let decided = size_of_pages(question, Some(placement));
    let page = decided.unwrap_or(now).or(question.host.memory.default_hugepage).filter(|_| question.wanted.hugepages);
    page.unwrap_or(SMALL).max(SMALL)
}

/// Where vgapt pinned the guest's vCPUs before, if only the memory changes.
pub(super) fn placed_before(question: &TuningInput<'_>) -> Option<Placement> {
    let TuningInput { base, host, .. } = question;
    let is_ours = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
    let tuning = |request: &Request| (request.tuning.guest_numa, request.tuning.hugepage_size);
    if !is_ours || !base.differs(|request| (request.memory, request.hugepages, tuning(request))) {
        return None;
    }
    let root = base.domain.root();
    let (pins, _) = pins(root).ok()?;
    let cpus: Vec<Vec<u32>> = pins.iter().map(|(_, cpus)| cpus.0.iter().copied().collect()).collect();
    let seen = |name: &str| root.at("cpu/topology")?.attribute(name)?.parse::<usize>().ok();
    let per_cache = seen("cores").and_then(|cores| cores.checked_mul(seen("threads").unwrap_or(1)));
    Placement::of(&host.topology, cpus.iter().map(Vec::as_slice), per_cache?)
}
