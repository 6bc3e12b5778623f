//! A disk while it is being converted.

use super::super::nodes::File;
use crate::xml::Fragment;

/// The address of a disk, as far as the script sets it: `<address type='drive'>`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskAddress {
    pub(super) controller: Option<usize>,
    pub(super) bus: Option<usize>,
    pub(super) target: Option<usize>,
    pub(super) unit: Option<usize>,
    /// `index=`, which counts through the units of a bus.
    pub(super) index: Option<usize>,
}

/// A disk under construction.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) file: File,
    pub(super) bus: String,
    pub(super) kind: String,
    pub(super) place: DiskAddress,
    pub(super) transient: bool,
    /// Attributes of its `<target>`.
    pub(super) target: Vec<(&'static str, String)>,
    /// The position of the option: QEMU assigns addresses in this order.
    pub(super) order: usize,
    /// Attributes of its `<driver>`.
    pub(super) driver: Vec<(&'static str, String)>,
    pub(super) more: Vec<Fragment>,
}
