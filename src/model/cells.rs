//! The NUMA nodes of a guest.

use super::{CpuSet, Size};

/// A NUMA node of the guest, and where it is on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellPlace {
    pub id: String,
    pub vcpus: CpuSet,
    pub size: Option<Size>,
    /// The host's nodes that its memory is bound to: its own, else those of all; `None` where it is bound to none.
    pub nodes: Option<CpuSet>,
}
