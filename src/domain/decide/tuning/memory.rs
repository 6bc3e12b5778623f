//! The size of the huge pages, where it is not the host's default; and memory from the NUMA nodes of the guest's CPUs and
//! its card.

use std::collections::BTreeSet;

use super::question::TuningInput;
use crate::domain::edit::{Edit, Part};
use crate::domain_xml::{memory, pins};
use crate::model::{CpuSet, Finding, Size};

/// Pages of this size save one more level of page table walks; used if they are available.
const LARGE: Size = Size::from_mib(1024);

/// Decided if the request changes the huge pages or the memory, and once for a new domain from vgapt's template.
pub(super) fn pages(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let TuningInput { base, wanted, host, .. } = question;
    let is_requested = base.differs(|request| (request.hugepages, request.tuning.hugepage_size, request.memory));
    let is_new = question.is_ours() && wanted.hugepages;
    if !is_requested && !is_new {
        return None;
    }
    let memory = wanted.memory.or_else(|| memory(base.domain.root()))?;
    let whole = memory.bytes() > 0 && memory.bytes() % LARGE.bytes() == 0;
    let pool = host.memory.hugepages.iter().find(|pool| pool.page == LARGE);
    // libvirt uses only hugetlbfs mounts that existed when it started.
    let mounted = host.memory.hugetlbfs.iter().any(|(_, page)| *page == Some(LARGE));
    let free = pool.is_some_and(|pool| pool.free >= memory.bytes() / LARGE.bytes());
    let page = wanted.tuning.hugepage_size.or_else(|| Some(LARGE).filter(|_| whole && mounted && free));
    let page = page.filter(|page| wanted.hugepages && Some(*page) != host.memory.default_hugepage);
    // In KiB, as libvirt writes it.
    let put = |page: Size| Edit::put(Part::Pages, "memoryBacking/hugepages/page").with("size", page.kib()).with("unit", "KiB");
    Some(page.map(put).into_iter().collect())
}

/// Memory of a domain with a passed device is all allocated at its start, because it is pinned; pinning clears one page after
/// another in one thread, which takes four fifths of its time (QEMU commit 4d83de6da265). So it is allocated before, by as
/// many threads as the guest has processors (`host_memory_backend_init` of QEMU's backends/hostmem.c). libvirt does that
/// for huge pages by itself. Written for a new domain from vgapt's template, and again when its devices or its pages change.
pub(super) fn allocation(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let TuningInput { base, wanted, passed, .. } = question;
    let was_written = base.last.as_ref().is_some_and(|last| last.written.has(Part::Allocation));
    let is_changed = was_written && base.differs(|request| (request.hugepages, request.gpu.clone(), request.pci.clone()));
    if !question.is_ours() && !is_changed {
        return None;
    }
    let is_pinned_in_small_pages = !passed.is_empty() && !wanted.hugepages;
    let immediate = Edit::put(Part::Allocation, "memoryBacking/allocation").with("mode", "immediate");
    Some(is_pinned_in_small_pages.then_some(immediate).into_iter().collect())
}

/// `strict`: if the nodes have too little free memory, the start fails, instead of a guest that is always slow. If the nodes are too small for the guest, the setting is omitted with a warning. Decided with the
/// pinning, and again if the memory changes; `None` leaves it unchanged.
pub(super) fn numa(question: &TuningInput<'_>, decided: Option<CpuSet>) -> Option<(Vec<Edit>, Option<Finding>)> {
    let TuningInput { base, wanted, host, .. } = question;
    let nodes = decided.or_else(|| pinned_nodes(question))?;
    let there: BTreeSet<u32> = host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
    // A node may have no memory of its own.
    let with_memory = |(node, size): &&(u32, Size)| nodes.0.contains(node) && *size > Size::default();
    let total: Vec<Size> = host.memory.nodes.iter().filter(with_memory).map(|(_, size)| *size).collect();
    let is_known_empty = total.is_empty() && !host.memory.nodes.is_empty();
    if there.len() < 2 || nodes.0.is_empty() || nodes.0 == there || is_known_empty {
        return Some((Vec::new(), None));
    }
    let asked = wanted.memory.or_else(|| memory(base.domain.root()));
    let total = (!total.is_empty()).then(|| Size::from_bytes(total.iter().map(|size| size.bytes()).sum()));
    if let (Some(asked), Some(total)) = (asked, total)
        && asked >= total
    {
        let message = format!("the domain needs {asked}, but NUMA node {nodes} of its CPUs has only {total} in total");
        let remedy = "use less with --memory: memory of another node is slower";
        return Some((Vec::new(), Some(Finding::warning("node-too-small", message, remedy))));
    }
    Some((vec![Edit::put(Part::Numa, "numatune/memory").with("mode", "strict").with("nodeset", &nodes)], None))
}

/// The nodes of the CPUs that vgapt pinned the guest to before, if only the memory changes.
fn pinned_nodes(question: &TuningInput<'_>) -> Option<CpuSet> {
    let TuningInput { base, host, .. } = question;
    let is_ours = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
    if !is_ours || !base.differs(|request| request.memory) {
        return None;
    }
    let (pins, _) = pins(base.domain.root()).ok()?;
    let node = |cpu: u32| host.topology.cpus.iter().find(|known| known.cpu == cpu)?.node;
    Some(CpuSet(pins.iter().flat_map(|(_, cpus)| &cpus.0).filter_map(|cpu| node(*cpu)).collect()))
}
