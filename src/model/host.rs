//! A whole machine, as far as it could be read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cpu, IommuGroup, Memory, PciAddress, PciDevice, Platform, Topology, UsbDevice};

/// A machine. Sections that were not asked for are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Host {
    /// What runs on it.
    pub platform: Platform,
    /// What its processor is.
    pub cpu: Cpu,
    /// How its processors are laid out.
    pub topology: Topology,
    /// Its memory.
    pub memory: Memory,
    /// Its PCI functions, sorted by address.
    pub pci: Vec<PciDevice>,
    /// Its USB devices, sorted by port.
    pub usb: Vec<UsbDevice>,
    /// What could not be found out from where it was read, in words.
    pub unknown: Vec<String>,
}

impl Host {
    /// The function at this address.
    pub fn device(&self, address: PciAddress) -> Option<&PciDevice> {
        let index = self.pci.binary_search_by_key(&address, |device| device.address).ok()?;
        self.pci.get(index)
    }

    /// The functions at these addresses.
    pub fn devices<'a>(&'a self, addresses: &'a [PciAddress]) -> impl Iterator<Item = &'a PciDevice> {
        addresses.iter().filter_map(|address| self.device(*address))
    }

    /// All IOMMU groups in order of their numbers.
    pub fn groups(&self) -> Vec<IommuGroup> {
        let mut groups: BTreeMap<u32, Vec<PciAddress>> = BTreeMap::new();
        for device in &self.pci {
            if let Some(number) = device.group {
                groups.entry(number).or_default().push(device.address);
            }
        }
        groups.into_iter().map(|(number, devices)| IommuGroup { number, devices }).collect()
    }

    /// Whether any IOMMU group exists.
    pub fn has_groups(&self) -> bool {
        self.pci.iter().any(|device| device.group.is_some())
    }

    /// The groups of these functions, sorted, each once.
    pub fn groups_of(&self, functions: &[PciAddress]) -> Vec<u32> {
        let mut groups: Vec<u32> = self.devices(functions).filter_map(|device| device.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The endpoints that keep the groups of these functions from a guest: in one of their groups,
    /// not among them, bound to a driver other than vfio's or pci-stub.
    pub fn blockers_of(&self, functions: &[PciAddress]) -> Vec<PciAddress> {
        let groups = self.groups_of(functions);
        self.pci
            .iter()
            .filter(|device| device.group.is_some_and(|group| groups.binary_search(&group).is_ok()))
            .filter(|device| !functions.contains(&device.address) && device.blocks_its_group())
            .map(|device| device.address)
            .collect()
    }
}
