//! Adds devices at the right place, and removes them.

use crate::domain_xml::devices_with_alias;
use crate::xml::{Document, Element, Fragment, Id};

/// Inserts a new child after the last of the siblings in `behind`, else at the end.
pub(super) fn insert_behind(domain: &mut Document, parent: Id, fragment: &Fragment, behind: &[&str]) {
    let sibling = domain.element(parent).children().filter(|child| behind.contains(&child.name())).last().map(Element::id);
    match sibling {
        Some(sibling) => domain.insert_after(sibling, fragment),
        None => domain.append(parent, fragment),
    }
}

/// The `<devices>` element, inserted if missing.
fn devices(domain: &mut Document) -> Id {
    let root = domain.root().id();
    if domain.root().child("devices").is_none() {
        domain.append(root, &Fragment::new("devices"));
    }
    // An insertion does not change the ids of the elements before it.
    domain.root().child("devices").map_or(root, Element::id)
}

/// Adds a device after the last one of its kind, else at the end.
pub(super) fn add(domain: &mut Document, device: &Fragment) {
    let devices = devices(domain);
    insert_behind(domain, devices, device, &[device.name()]);
}

/// Removes the devices whose alias starts with `prefix`, except those for which `stays` (called with the rest of the alias) is true.
pub(super) fn retain(domain: &mut Document, prefix: &str, stays: impl Fn(Element<'_>, &str) -> bool) {
    let surplus: Vec<Id> =
        devices_with_alias(domain.root(), prefix).filter(|(device, rest)| !stays(*device, rest)).map(|(device, _)| device.id()).collect();
    domain.remove_all(&surplus);
}
