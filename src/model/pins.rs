//! Where a domain says that threads run.

use std::collections::BTreeMap;

use super::CpuSet;

/// The host CPUs of QEMU's own threads, which are no virtual CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPins {
    /// Of all but the I/O threads.
    pub emulator: Option<CpuSet>,
    /// Of each I/O thread, by its number.
    pub iothreads: BTreeMap<u32, CpuSet>,
}
