//! The memory of a host, including huge pages.

use serde::Serialize;

use super::Size;

/// A host's memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// All that the kernel manages.
    pub total: Option<Size>,
    /// Memory that can be allocated without swapping.
    pub available: Option<Size>,
    /// The default huge page size, used by `<hugepages/>` without a size.
    pub default_hugepage: Option<Size>,
    /// The pools of huge pages, smallest page size first.
    pub hugepages: Vec<HugepagePool>,
    /// The memory of each NUMA node.
    pub nodes: Vec<(u32, Size)>,
    /// Where hugetlbfs is mounted, with the page size if it is a mount option.
    pub hugetlbfs: Vec<(String, Option<Size>)>,
}

/// The huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HugepagePool {
    /// Size of a page.
    pub page: Size,
    /// Reserved pages.
    pub total: u64,
    /// Free pages among them.
    pub free: u64,
}
