//! The host devices that are assigned to a domain, and its network cards.

use super::devices::{devices_named, number};
use crate::model::{PciAddress, UsbId};
use crate::xml::Element;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostDevice {
    Function(PciAddress),
    /// A USB device by its vendor and product id.
    Usb(UsbId),
    /// A USB device by bus and device number, as far as they are given.
    UsbAt {
        bus: Option<u32>,
        /// The device number on that bus.
        device: Option<u32>,
    },
    /// A mediated device, by its UUID in lower case.
    Mediated(String),
}

/// The host device that a `<hostdev>` or an `<interface type='hostdev'>` passes through; `None` if its type is unknown or it
/// is not specified.
pub fn host_device(device: Element<'_>) -> Option<HostDevice> {
    let source = device.child("source")?;
    let address = source.child("address");
    match &*device.attribute("type")? {
        "usb" => Some(usb(source)),
        "mdev" => Some(HostDevice::Mediated(address?.attribute("uuid")?.to_lowercase())),
        "pci" | "hostdev" => pci_address(address?).map(HostDevice::Function),
        _ => None,
    }
}

fn usb(source: Element<'_>) -> HostDevice {
    let part = |name: &str| u16::try_from(number(source.child(name)?, "id")?).ok();
    if let (Some(vendor), Some(product)) = (part("vendor"), part("product")) {
        return HostDevice::Usb(UsbId { vendor, product });
    }
    let place = |name: &str| number(source.child("address")?, name);
    HostDevice::UsbAt { bus: place("bus"), device: place("device") }
}

pub fn pci_address(address: Element<'_>) -> Option<PciAddress> {
    PciAddress::of_attributes(|name| address.attribute(name))
}

/// The function that it passes through, if it is one.
pub fn function_of(device: Element<'_>) -> Option<PciAddress> {
    match host_device(device)? {
        HostDevice::Function(address) => Some(address),
        _ => None,
    }
}

/// The functions that a domain passes through as `<hostdev>` or `<interface>`, in this order.
pub fn pci_hostdevs(domain: Element<'_>) -> impl Iterator<Item = (Element<'_>, PciAddress)> {
    let interfaces = devices_named(domain, "interface");
    devices_named(domain, "hostdev").chain(interfaces).filter_map(|hostdev| Some((hostdev, function_of(hostdev)?)))
}

/// The functions that libvirt itself takes from their drivers at the start. What an `<interface>` passes is not among them:
/// libvirt stores the settings of its network device before it unbinds it.
pub fn managed_functions(domain: Element<'_>) -> Vec<PciAddress> {
    let is_managed = |hostdev: &Element<'_>| hostdev.name() == "hostdev" && hostdev.attribute("managed").as_deref() == Some("yes");
    pci_hostdevs(domain).filter(|(hostdev, _)| is_managed(hostdev)).map(|(_, address)| address).collect()
}

/// The hostdev that passes this function, no matter who added it.
pub fn hostdev_of(domain: Element<'_>, function: PciAddress) -> Option<Element<'_>> {
    pci_hostdevs(domain).find(|(_, address)| *address == function).map(|(hostdev, _)| hostdev)
}

/// Whether the domain passes this USB device already.
pub fn passes_usb(domain: Element<'_>, id: UsbId) -> bool {
    devices_named(domain, "hostdev").any(|hostdev| host_device(hostdev) == Some(HostDevice::Usb(id)))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its type: `user`, `network`, `bridge`, `hostdev`, …
    pub kind: String,
    /// The host bridge to which it is connected.
    pub bridge: Option<String>,
    /// The network, bridge or interface of the host.
    pub source: Option<String>,
    pub mac: Option<String>,
    /// The ids of its VLANs: several of a trunk.
    pub vlans: Vec<String>,
}

impl Interface {
    pub fn of(interface: Element<'_>) -> Self {
        let below = |child: &str, name: &str| interface.child(child)?.attribute(name).map(std::borrow::Cow::into_owned);
        let kind = interface.attribute("type").map(std::borrow::Cow::into_owned).unwrap_or_default();
        let source = ["network", "bridge", "dev"].into_iter().find_map(|name| below("source", name));
        let tags = interface.child("vlan").into_iter().flat_map(|vlan| vlan.children_named("tag"));
        let vlans = tags.filter_map(|tag| tag.attribute("id").map(std::borrow::Cow::into_owned)).collect();
        Self { kind, bridge: below("source", "bridge"), source, mac: below("mac", "address"), vlans }
    }
}

pub fn interfaces(domain: Element<'_>) -> impl Iterator<Item = Interface> {
    devices_named(domain, "interface").map(Interface::of)
}
