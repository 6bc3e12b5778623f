//! The size of the huge pages, where it is not the host's default.

use super::question::TuningInput;
use crate::domain::setting::Setting;
use crate::domain_xml;
use crate::model::Size;

/// Pages of this size save one more level of page table walks; used if they are available.
const LARGE: Size = Size::from_mib(1024);

/// Decided if the request changes the huge pages or the memory, and once for a new domain from vgapt's template.
pub(super) fn settings(question: &TuningInput<'_>) -> Option<Vec<Setting>> {
    let TuningInput { base, wanted, host, .. } = question;
    let is_requested = base.differs(|request| (request.hugepages, request.tuning.hugepage_size, request.memory));
    let is_new = question.is_ours() && wanted.hugepages;
    if !is_requested && !is_new {
        return None;
    }
    let there = || domain_xml::memory(base.domain.root());
    let memory = wanted.memory.or_else(there)?;
    let whole = memory.bytes() > 0 && memory.bytes() % LARGE.bytes() == 0;
    let pool = host.memory.hugepages.iter().find(|pool| pool.page == LARGE);
    // libvirt uses only hugetlbfs mounts that existed when it started.
    let mounted = host.memory.hugetlbfs.iter().any(|(_, page)| *page == Some(LARGE));
    let free = pool.is_some_and(|pool| pool.free >= memory.bytes() / LARGE.bytes());
    let page = wanted.tuning.hugepage_size.or_else(|| Some(LARGE).filter(|_| whole && mounted && free));
    let page = page.filter(|page| wanted.hugepages && Some(*page) != host.memory.default_hugepage);
    // In KiB, as libvirt writes it.
    Some(page.map(|page| Setting::new("memoryBacking/hugepages/page").with("size", page.kib()).with("unit", "KiB")).into_iter().collect())
}
