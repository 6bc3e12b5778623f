//! The devices of a domain: the aliases that identify them, the numbers in their attributes, and the bus and slot of their PCI
//! addresses in the guest.

use std::collections::BTreeSet;

use crate::model::parse_number;
use crate::xml::Element;

pub fn devices(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.child("devices").into_iter().flat_map(Element::children)
}

pub fn devices_named<'d>(domain: Element<'d>, name: &str) -> impl Iterator<Item = Element<'d>> {
    devices(domain).filter(move |device| device.name() == name)
}

pub fn alias_of(device: Element<'_>) -> Option<String> {
    device.child("alias")?.attribute("name").map(std::borrow::Cow::into_owned)
}

/// The devices whose alias starts with `prefix`, each with the rest of its alias.
pub fn devices_with_alias<'d>(domain: Element<'d>, prefix: &'d str) -> impl Iterator<Item = (Element<'d>, String)> {
    devices(domain).filter_map(move |device| Some((device, alias_of(device)?.strip_prefix(prefix)?.to_owned())))
}

pub fn device_with_alias<'d>(domain: Element<'d>, alias: &str) -> Option<Element<'d>> {
    devices(domain).find(|device| alias_of(*device).as_deref() == Some(alias))
}

/// Whether the domain has an emulated input device of this kind on this bus.
pub fn has_input(domain: Element<'_>, kind: &str, bus: &str) -> bool {
    let is = |input: Element<'_>, name: &str, value: &str| input.attribute(name).as_deref() == Some(value);
    devices_named(domain, "input").any(|input| is(input, "type", kind) && is(input, "bus", bus))
}

/// Whether the domain has no USB by its own words.
pub fn is_usb_off(domain: Element<'_>) -> bool {
    let is = |controller: Element<'_>, name: &str, value: &str| controller.attribute(name).as_deref() == Some(value);
    devices_named(domain, "controller").any(|controller| is(controller, "type", "usb") && is(controller, "model", "none"))
}

/// The model of an emulated graphics adapter; `none` is an adapter that does not exist.
pub fn video_model(video: Element<'_>) -> Option<String> {
    video.child("model")?.attribute("type").map(std::borrow::Cow::into_owned)
}

/// The number in an attribute: decimal, or hexadecimal behind `0x`.
pub fn number(element: Element<'_>, attribute: &str) -> Option<u32> {
    parse_number(&element.attribute(attribute)?)
}

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
