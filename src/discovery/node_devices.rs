//! A host as described by libvirt's node devices, the only source for a remote host.

use crate::domain_xml::pci_address;
use crate::model::{Class, Host, Iommu, PciAddress, PciDevice, PciId, UsbDevice, UsbId, parse_number};
use crate::xml::{Document, Element};

/// A host from the XML of its node devices. What node devices do not contain is listed in [`Host::unknown`].
pub fn from_node_devices(descriptions: &[String]) -> Host {
    let documents: Vec<Document> = descriptions.iter().filter_map(|text| Document::parse(text).ok()).collect();
    let mut host = Host::default();
    if documents.len() < descriptions.len() {
        host.unknown.push(format!("{} devices: their libvirt XML cannot be parsed", descriptions.len() - documents.len()));
    }
    for document in &documents {
        let device = document.root();
        for capability in device.children_named("capability") {
            match capability.attribute("type").as_deref() {
                Some("pci") => host.pci.extend(pci(device, capability)),
                Some("usb_device") => host.usb.extend(usb(device, capability)),
                _ => {}
            }
        }
    }
    host.pci.sort_by_key(|device| device.address);
    host.pci.dedup_by_key(|device| device.address);
    host.usb.sort_by_key(|device| (device.bus, device.device));
    host.platform.iommu = if host.has_groups() { Iommu::On } else { Iommu::Unknown };
    host.unknown.push("subsystem ids, reset methods, memory regions, boot display, kernel command line and firmware tables: libvirt's node devices do not contain them".into());
    if !host.pci.is_empty() && host.pci.iter().all(|device| device.driver.is_none()) {
        host.unknown.push("drivers: no node device has one, so it is unknown what blocks an IOMMU group".into());
    }
    host
}

fn pci(device: Element<'_>, capability: Element<'_>) -> Option<PciDevice> {
    let part = |name: &str| parse_number(capability.child(name)?.text());
    let address = PciAddress::of_attributes(|name| capability.child(name).map(Element::text))?;
    let (vendor, product) = (capability.child("vendor"), capability.child("product"));
    let bridge = capability.children_named("capability").any(|inner| inner.attribute("type").as_deref() == Some("pci-bridge"));
    let path = device.child("path").map(Element::text).unwrap_or_default();
    let mut ancestors = PciAddress::in_path(path);
    ancestors.pop();
    Some(PciDevice {
        id: PciId { vendor: id(vendor), device: id(product) },
        class: Class(part("class").unwrap_or_default()),
        name: name(vendor, product),
        driver: device.at("driver/name").map(|name| name.text().to_owned()),
        header_type: bridge.then_some(1),
        ancestors,
        group: capability.child("iommuGroup").and_then(|group| parse_number(&group.attribute("number")?)),
        physical_function: capability
            .children_named("capability")
            .find(|inner| inner.attribute("type").as_deref() == Some("phys_function"))
            .and_then(|inner| pci_address(inner.child("address")?)),
        numa_node: capability.child("numa").and_then(|numa| parse_number(&numa.attribute("node")?)),
        ..PciDevice::new(address)
    })
}

fn usb(device: Element<'_>, capability: Element<'_>) -> Option<UsbDevice> {
    let part = |name: &str| capability.child(name).and_then(|part| u8::try_from(parse_number(part.text())?).ok());
    let (vendor, product) = (capability.child("vendor"), capability.child("product"));
    let path = device.child("path").map(Element::text).unwrap_or_default();
    let port = path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = UsbId { vendor: id(vendor), product: id(product) };
    // Root hubs belong to their controller (the Linux Foundation's vendor id).
    (id.vendor != 0x1d6b).then_some(UsbDevice {
        bus: part("bus")?,
        device: part("device")?,
        controller: PciAddress::in_path(path).pop(),
        port,
        id,
        name: name(vendor, product),
        drivers: device.at("driver/name").map(|name| name.text().to_owned()).into_iter().collect(),
    })
}

fn name(vendor: Option<Element<'_>>, product: Option<Element<'_>>) -> Option<String> {
    let words: Vec<&str> = [vendor, product].into_iter().flatten().map(Element::text).filter(|text| !text.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn id(element: Option<Element<'_>>) -> u16 {
    let value = element.and_then(|element| parse_number(&element.attribute("id")?));
    value.and_then(|value| u16::try_from(value).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "<device><name>pci_0000_01_00_0</name><path>/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0</path>
        <driver><name>nvidia</name></driver><capability type='pci'><class>0x030000</class><domain>0</domain><bus>1</bus><slot>0</slot><function>0</function>
        <product id='0x1401'>GM206</product><vendor id='0x10de'>NVIDIA</vendor><iommuGroup number='1'/></capability></device>";

    #[test]
    fn a_card() {
        let host = from_node_devices(&[CARD.to_owned(), "<broken".to_owned(), "<device/>".to_owned()]);
        let card = &host.pci[0];
        assert_eq!((card.id.to_string().as_str(), card.group, card.driver.as_deref()), ("10de:1401", Some(1), Some("nvidia")));
        assert_eq!(card.ancestors, ["00:01.0".parse().unwrap()]);
        assert_eq!(host.platform.iommu, Iommu::On);
    }
}
