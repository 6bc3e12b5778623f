//! A host, as far as it could be read.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Cpu, CpuSet, IommuGroup, Iommufd, Kvmfr, Memory, PciAddress, PciDevice, Platform, Size, Topology, UsbDevice};

/// A host. Sections that were not requested are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Host {
    pub platform: Platform,
    pub cpu: Cpu,
    pub topology: Topology,
    pub memory: Memory,
    pub pci: Vec<PciDevice>,
    pub usb: Vec<UsbDevice>,
    #[serde(skip)]
    pub iommufd: Iommufd,
    #[serde(skip)]
    pub kvmfr: Kvmfr,
    /// The other guests; known only where one is defined.
    #[serde(skip)]
    pub neighbours: Vec<Neighbour>,
    /// Messages about what could not be read.
    pub unknown: Vec<String>,
}

/// Another guest of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbour {
    /// What it passes through: a guest that passes the same never runs beside it.
    pub functions: BTreeSet<PciAddress>,
    /// The host CPUs that its vCPUs have for themselves.
    pub cpus: CpuSet,
}

impl Host {
    pub fn device(&self, address: PciAddress) -> Option<&PciDevice> {
        let index = self.pci.binary_search_by_key(&address, |device| device.address).ok()?;
        self.pci.get(index)
    }

    pub fn devices<'a>(&'a self, addresses: &'a [PciAddress]) -> impl Iterator<Item = &'a PciDevice> {
        addresses.iter().filter_map(|address| self.device(*address))
    }

    /// The topology with the CPUs of the guests that may run beside one with these functions: none that passes the same.
    pub fn topology_beside(&self, functions: &[PciAddress]) -> Topology {
        let runs_beside = |other: &&Neighbour| functions.iter().all(|function| !other.functions.contains(function));
        let others = self.neighbours.iter().filter(runs_beside);
        Topology { used: CpuSet(others.flat_map(|other| other.cpus.0.iter().copied()).collect()), ..self.topology.clone() }
    }

    /// The NUMA node on which a guest with these functions is best: that of the first one that has one. Where that has no memory,
    /// or none is known beside nodes without memory, the one with the most: processors need memory more often than a card.
    pub fn best_node(&self, functions: &[PciAddress]) -> Option<u32> {
        let of_card = self.devices(functions).find_map(|device| device.numa_node);
        let with_cpus = |node: u32| self.topology.cpus.iter().any(|cpu| cpu.node == Some(node));
        let nodes = || self.memory.nodes.iter().filter(|(node, _)| with_cpus(*node));
        let is_empty = |(node, size): &(u32, Size)| *size == Size::default() && of_card.is_none_or(|of_card| of_card == *node);
        if !nodes().any(is_empty) {
            return of_card;
        }
        // Of equal ones the first.
        nodes().rev().max_by_key(|(_, size)| *size).map(|(node, _)| *node)
    }

    /// The other nodes, from near to far: those that share a package with the first of these first, and of these the ones whose
    /// numbers are side by side (sub-NUMA clusters, AMD's quadrants).
    pub fn nodes_beside(&self, near: &BTreeSet<u32>) -> Vec<u32> {
        let package = |node: u32| self.topology.cpus.iter().find(|cpu| cpu.node == Some(node)).map(|cpu| cpu.package);
        let first = near.first().copied().unwrap_or_default();
        let mut others: Vec<u32> = self.memory.nodes.iter().map(|(node, _)| *node).filter(|node| !near.contains(node)).collect();
        others.sort_by_key(|node| (package(*node) != package(first), node ^ first));
        others
    }

    /// The virtual functions (SR-IOV) of these functions.
    pub fn virtual_functions_of(&self, functions: &[PciAddress]) -> Vec<PciAddress> {
        let is_one = |device: &&PciDevice| device.physical_function.is_some_and(|physical| functions.contains(&physical));
        self.pci.iter().filter(is_one).map(|device| device.address).collect()
    }

    /// All IOMMU groups, sorted by number.
    pub fn groups(&self) -> Vec<IommuGroup> {
        let mut groups: BTreeMap<u32, Vec<PciAddress>> = BTreeMap::new();
        for device in &self.pci {
            if let Some(number) = device.group {
                groups.entry(number).or_default().push(device.address);
            }
        }
        groups.into_iter().map(|(number, devices)| IommuGroup { number, devices }).collect()
    }

    pub fn number_of_groups(&self) -> usize {
        let mut numbers: Vec<u32> = self.pci.iter().filter_map(|device| device.group).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    /// Whether it is a laptop or another machine without PCIe slots, judging by the names of its board and its
    /// processor: Apple's boards, and processors that are always soldered (`i7-8750H`, `5600U`).
    pub fn is_portable(&self) -> bool {
        const ENDINGS: [&str; 13] = ["U", "H", "HK", "HQ", "HX", "HS", "P", "Y", "M", "MQ", "G1", "G4", "G7"];
        let model = self.cpu.model.as_deref().unwrap_or_default();
        let ending = |word: &str| {
            let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
            (word.len() - rest.len() >= 3).then(|| rest.to_owned())
        };
        let is_server = ["EPYC", "Xeon", "Threadripper"].iter().any(|name| model.contains(name));
        let is_mobile = !is_server && model.split([' ', '-']).filter_map(ending).any(|ending| ENDINGS.contains(&ending.as_str()));
        // A Mac Pro has slots.
        let is_apple = self.platform.board.as_deref().is_some_and(|board| board.starts_with("Apple")) && !is_server;
        is_mobile || is_apple
    }

    /// Why no PCI function is known, where their list could not be read.
    pub fn pci_is_unknown(&self) -> Option<&str> {
        let why = self.unknown.iter().find(|unknown| unknown.contains("/sys/bus/pci"))?;
        self.pci.is_empty().then_some(why.as_str())
    }

    pub fn has_groups(&self) -> bool {
        self.pci.iter().any(|device| device.group.is_some())
    }

    /// The groups of these functions, sorted, without duplicates.
    pub fn groups_of(&self, functions: &[PciAddress]) -> Vec<u32> {
        let mut groups: Vec<u32> = self.devices(functions).filter_map(|device| device.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The endpoints that prevent passing these functions: in one of their groups, not among them, and bound to a
    /// driver other than vfio-pci or pci-stub.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_that_are_soldered_on() {
        let of = |model: &str| {
            let cpu = Cpu { model: Some(model.to_owned()), ..Cpu::default() };
            Host { cpu, ..Host::default() }.is_portable()
        };
        for model in [
            "Intel(R) Core(TM) i7-8750H CPU @ 2.20GHz",
            "AMD Ryzen 5 3500U with Radeon Vega Mobile Gfx",
            "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz",
        ] {
            assert!(of(model), "{model}");
        }
        for model in [
            "AMD Ryzen 7 5700X 8-Core Processor",
            "12th Gen Intel(R) Core(TM) i5-12500",
            "AMD EPYC 7402P 24-Core Processor",
            "Intel(R) Core(TM) i9-13900K",
        ] {
            assert!(!of(model), "{model}");
        }
    }
}
