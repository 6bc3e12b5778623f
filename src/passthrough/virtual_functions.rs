//! The physical functions with their virtual functions (SR-IOV), and who has which.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{DomainFunctions, Host, PciAddress, Reading};

/// A physical function with virtual functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedOut {
    pub parent: PciAddress,
    /// Its name, or what it is.
    pub name: String,
    pub driver: Option<String>,
    /// How many virtual functions it can have; unknown where it was not read.
    pub total: Option<u32>,
    pub functions: Vec<VirtualFunction>,
}

/// A virtual function, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VirtualFunction {
    pub address: PciAddress,
    pub driver: Option<String>,
    /// The defined domains that it is passed through to; `null` if unknown.
    pub domains: Option<Vec<String>>,
}

/// All of them, by address. A parent that the host does not show is named by its address.
pub fn shared_out(host: &Host, domains: &DomainFunctions) -> Vec<SharedOut> {
    let parents: BTreeSet<PciAddress> = host.pci.iter().filter_map(|device| device.physical_function).collect();
    let function = |address: PciAddress| {
        let domains = match &domains.0 {
            Reading::Known(functions) => Some(functions.get(&address).into_iter().flatten().cloned().collect()),
            Reading::Absent => Some(Vec::new()),
            Reading::Unknown(_) => None,
        };
        VirtualFunction { address, driver: host.device(address).and_then(|device| device.driver.clone()), domains }
    };
    let of = |parent: PciAddress| {
        let device = host.device(parent);
        SharedOut {
            parent,
            name: device.map_or_else(|| "not shown by the host".to_owned(), crate::model::PciDevice::label),
            driver: device.and_then(|device| device.driver.clone()),
            total: device.and_then(|device| device.sriov.as_ref()).map(|sriov| sriov.total),
            functions: host.virtual_functions_of(&[parent]).into_iter().map(function).collect(),
        }
    };
    parents.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PciDevice;

    #[test]
    fn who_has_which() {
        let at = |text: &str| -> PciAddress { text.parse().unwrap() };
        let function = |address: &str| PciDevice { physical_function: Some(at("06:00.0")), ..PciDevice::new(at(address)) };
        let used = PciDevice { driver: Some("vfio-pci".into()), ..function("06:10.2") };
        let host = Host { pci: vec![PciDevice::new(at("06:00.0")), function("06:10.0"), used], ..Host::default() };
        let domains = DomainFunctions(Reading::Known([(at("06:10.2"), ["win".to_owned()].into())].into()));
        let [parent] = &shared_out(&host, &domains)[..] else { panic!() };
        let who: Vec<_> = parent.functions.iter().map(|one| (one.driver.as_deref(), one.domains.clone().unwrap())).collect();
        assert_eq!(who, [(None, vec![]), (Some("vfio-pci"), vec!["win".to_owned()])]);
        assert!(shared_out(&host, &DomainFunctions::default())[0].functions.iter().all(|one| one.domains.is_none()), "unknown is not none");
    }
}
