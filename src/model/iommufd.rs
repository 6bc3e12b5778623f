//! What a host has of iommufd, the kernel's newer interface between VFIO and the IOMMU.

use std::collections::BTreeMap;

use super::{PciAddress, Reading};

/// Only device nodes count: sysfs lists a device in containers and systems in which nobody can open it (kubevirt PR 18905).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iommufd {
    /// `/dev/iommu`; absent if it is not a character device.
    pub iommu: Reading<()>,
    /// The functions that VFIO has now, each with its own node, `/dev/vfio/devices/vfioN`; absent if it is not a character
    /// device.
    pub nodes: BTreeMap<PciAddress, Reading<String>>,
    /// Whether the running kernel makes these nodes (`CONFIG_VFIO_DEVICE_CDEV`): a function has none before VFIO takes it.
    pub makes_nodes: Reading<bool>,
}

impl Default for Iommufd {
    fn default() -> Self {
        let unread = || "the host's device nodes were not read".to_owned();
        Self { iommu: Reading::Unknown(unread()), nodes: BTreeMap::new(), makes_nodes: Reading::Unknown(unread()) }
    }
}
