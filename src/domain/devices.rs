//! Finding places in a domain for what is new.

use std::collections::BTreeSet;

use crate::model::parse_number;
use crate::xml::{Document, Element, Fragment, Id};

/// The child of this name, made if it is not there: behind the last of the named siblings, else last.
pub(super) fn ensure_child(domain: &mut Document, parent: Id, name: &str, behind: &[&str]) -> Id {
    if let Some(child) = domain.element(parent).child(name) {
        return child.id();
    }
    insert_behind(domain, parent, &Fragment::new(name), behind);
    // An insertion behind other children leaves the ids of what stands before it as they were.
    domain.element(parent).child(name).map_or(parent, Element::id)
}

/// Puts a new child in: behind the last of the named siblings, else last.
pub(super) fn insert_behind(domain: &mut Document, parent: Id, fragment: &Fragment, behind: &[&str]) {
    let sibling = domain.element(parent).children().filter(|child| behind.contains(&child.name())).last().map(Element::id);
    match sibling {
        Some(sibling) => domain.insert_after(sibling, fragment),
        None => domain.append(parent, fragment),
    }
}

/// The `<devices>` element, made if it is not there.
pub(super) fn devices(domain: &mut Document) -> Id {
    let root = domain.root().id();
    ensure_child(domain, root, "devices", &[])
}

/// Puts a new device in: behind the last one of its kind, else last.
pub(super) fn add(domain: &mut Document, device: &Fragment) {
    let devices = devices(domain);
    insert_behind(domain, devices, device, &[device.name()]);
}

/// The number in an attribute: decimal, or hexadecimal behind `0x`.
pub(super) fn number(element: Element<'_>, attribute: &str) -> Option<u32> {
    parse_number(&element.attribute(attribute)?)
}

/// The guest's PCI addresses that are taken: bus and slot.
pub(super) fn taken_slots(domain: Element<'_>) -> BTreeSet<(u32, u32)> {
    let addresses = domain.child("devices").into_iter().flat_map(Element::children).filter_map(|device| device.child("address"));
    addresses
        .filter(|address| address.attribute("type").as_deref() == Some("pci"))
        .filter_map(|address| Some((number(address, "bus")?, number(address, "slot")?)))
        .collect()
}

/// The next free number of a PCI controller: behind all that are declared or that a device sits on.
pub(super) fn next_bus(domain: Element<'_>) -> u32 {
    let devices = domain.child("devices");
    let controllers = devices.into_iter().flat_map(|devices| devices.children_named("controller"));
    let declared = controllers
        .filter(|controller| controller.attribute("type").as_deref() == Some("pci"))
        .filter_map(|controller| number(controller, "index"));
    let used = taken_slots(domain).into_iter().map(|(bus, _)| bus);
    declared.chain(used).max().map_or(1, |last| last.saturating_add(1))
}
