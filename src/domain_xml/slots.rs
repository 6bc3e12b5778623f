//! The bus and slot of the devices' PCI addresses in the guest.

use std::collections::BTreeSet;

use super::devices::{devices, devices_named, number};
use crate::xml::Element;

/// The bus and slot of a PCI address.
pub fn place(address: Element<'_>) -> Option<(u32, u32)> {
    Some((number(address, "bus")?, number(address, "slot")?))
}

/// Whether an address is function 0 of its slot.
pub fn is_first(address: Element<'_>) -> bool {
    number(address, "function").unwrap_or_default() == 0
}

/// The guest PCI addresses of these devices.
fn addresses<'d>(devices: impl Iterator<Item = Element<'d>>) -> impl Iterator<Item = Element<'d>> {
    let addresses = devices.filter_map(|device| device.child("address"));
    addresses.filter(|address| address.attribute("type").as_deref() == Some("pci"))
}

/// The addresses on a guest slot.
pub fn on_slot(domain: Element<'_>, (bus, slot): (u32, u32)) -> impl Iterator<Item = Element<'_>> {
    addresses(devices(domain)).filter(move |address| place(*address) == Some((bus, slot)))
}

/// The addresses of devices whose slot may get further functions: passed functions, and root ports, which libvirt places
/// together in one slot.
pub fn joinable<'d>(domain: Element<'d>, may_join: impl Fn(Element<'d>) -> bool) -> impl Iterator<Item = Element<'d>> {
    addresses(devices(domain).filter(move |device| matches!(device.name(), "hostdev" | "controller") && may_join(*device)))
}

/// The guest's PCI slots that are in use: bus and slot.
pub fn taken_slots(domain: Element<'_>) -> BTreeSet<(u32, u32)> {
    addresses(devices(domain)).filter_map(place).collect()
}

/// The next free PCI controller index: above all indexes that are declared or used by a device.
pub fn next_bus(domain: Element<'_>) -> u32 {
    let declared = devices_named(domain, "controller")
        .filter(|controller| controller.attribute("type").as_deref() == Some("pci"))
        .filter_map(|controller| number(controller, "index"));
    let used = taken_slots(domain).into_iter().map(|(bus, _)| bus);
    declared.chain(used).max().map_or(1, |last| last.saturating_add(1))
}
