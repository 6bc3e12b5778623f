//! Putting devices in where they belong, and taking them out.

use crate::domain_xml::devices_with_alias;
use crate::xml::{Document, Element, Fragment, Id};

/// Puts a new child in: behind the last of the named siblings, else last.
pub(super) fn insert_behind(domain: &mut Document, parent: Id, fragment: &Fragment, behind: &[&str]) {
    let sibling = domain.element(parent).children().filter(|child| behind.contains(&child.name())).last().map(Element::id);
    match sibling {
        Some(sibling) => domain.insert_after(sibling, fragment),
        None => domain.append(parent, fragment),
    }
}

/// The `<devices>` element, made if it is not there.
fn devices(domain: &mut Document) -> Id {
    let root = domain.root().id();
    if domain.root().child("devices").is_none() {
        domain.append(root, &Fragment::new("devices"));
    }
    // An insertion behind other children leaves the ids of what stands before it as they were.
    domain.root().child("devices").map_or(root, Element::id)
}

/// Puts a new device in: behind the last one of its kind, else last.
pub(super) fn add(domain: &mut Document, device: &Fragment) {
    let devices = devices(domain);
    insert_behind(domain, devices, device, &[device.name()]);
}

/// Takes out the devices whose alias begins so, but those that are to stay by what follows.
pub(super) fn retain(domain: &mut Document, prefix: &str, stays: impl Fn(Element<'_>, &str) -> bool) {
    let surplus: Vec<Id> =
        devices_with_alias(domain.root(), prefix).filter(|(device, rest)| !stays(*device, rest)).map(|(device, _)| device.id()).collect();
    domain.remove_all(&surplus);
}
