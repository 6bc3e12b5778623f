//! The attribute `multifunction='on'` of a slot's first function. vgapt sets it on a device of the user if it adds
//! functions to the same slot, libvirt sets it on a root port if vgapt's port shares the slot. It is removed with them.

use crate::domain_xml::{is_first, on_slot};
use crate::xml::{Document, Element};

/// Sets the attribute on a slot's first function.
pub(super) fn set(domain: &mut Document, place: (u32, u32)) {
    let first = on_slot(domain.root(), place).find(|address| is_first(*address)).map(Element::id);
    if let Some(first) = first {
        domain.set_attribute(first, "multifunction", "on");
    }
}

/// Removes the attribute where the first function is alone again.
pub(super) fn unset(domain: &mut Document, single: &str) {
    let slots = single.split(' ').filter_map(|slot| slot.split_once(':'));
    let slots = slots.filter_map(|(bus, slot)| Some((bus.parse().ok()?, slot.parse().ok()?)));
    for place in slots {
        let addresses: Vec<Element<'_>> = on_slot(domain.root(), place).collect();
        let alone = match addresses.as_slice() {
            [first] if is_first(*first) && first.attribute("multifunction").as_deref() == Some("on") => first.id(),
            _ => continue,
        };
        domain.remove_attribute(alone, "multifunction");
    }
}
