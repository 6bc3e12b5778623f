//! Memory of a host: how much, how much of it in huge pages.

use serde::Serialize;

use super::Size;

/// A host's memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// All that the kernel manages.
    pub total: Option<Size>,
    /// What could be had without swapping.
    pub available: Option<Size>,
    /// Page size that `<hugepages/>` without a size means.
    pub default_hugepage: Option<Size>,
    /// The pools of huge pages, the smallest page size first.
    pub hugepages: Vec<HugepagePool>,
    /// What each NUMA node has.
    pub nodes: Vec<(u32, Size)>,
    /// Where hugetlbfs is mounted, with the page size if the mount says it.
    pub hugetlbfs: Vec<(String, Option<Size>)>,
}

/// The huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HugepagePool {
    /// Size of a page.
    pub page: Size,
    /// Pages set aside.
    pub total: u64,
    /// Pages of these that nobody uses.
    pub free: u64,
}
