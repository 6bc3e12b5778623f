//! The word on a slot's first function that there are more of them. vgapt puts it on a device of somebody else's
//! that its functions join, libvirt on a root port that vgapt's joins; it goes when they do.

use std::collections::BTreeSet;

use super::devices::number;
use super::remember::words;
use super::resolve::Base;
use super::{Purpose, Spec, alias};
use crate::xml::{Document, Element};

/// The name under which the record remembers it: the guest's slots whose first function did not say it before.
pub(super) const SINGLE: &str = "single-functions";

/// The addresses on a slot of the guest's.
pub(super) fn on_slot(domain: Element<'_>, (bus, slot): (u32, u32)) -> impl Iterator<Item = Element<'_>> {
    addresses(domain).filter(move |address| place(*address) == Some((bus, slot)))
}

/// The places of devices that others may join: passed functions, and root ports, beside which libvirt puts others.
fn joinable(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    let devices = domain.child("devices").into_iter().flat_map(Element::children);
    let others = devices.filter(|device| matches!(device.name(), "hostdev" | "controller"));
    let others = others.filter(|device| alias::of(*device).is_none_or(|name| !name.starts_with(alias::OURS)));
    others.filter_map(|device| device.child("address")).filter(|address| address.attribute("type").as_deref() == Some("pci"))
}

fn addresses(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    let devices = domain.child("devices").into_iter().flat_map(Element::children);
    let addresses = devices.filter_map(|device| device.child("address"));
    addresses.filter(|address| address.attribute("type").as_deref() == Some("pci"))
}

fn place(address: Element<'_>) -> Option<(u32, u32)> {
    Some((number(address, "bus")?, number(address, "slot")?))
}

fn is_first(address: Element<'_>) -> bool {
    number(address, "function").unwrap_or_default() == 0
}

/// Says it on a slot's first function.
pub(super) fn set(domain: &mut Document, place: (u32, u32)) {
    let first = on_slot(domain.root(), place).find(|address| is_first(*address)).map(Element::id);
    if let Some(first) = first {
        domain.set_attribute(first, "multifunction", "on");
    }
}

/// What is to be remembered where functions come into a domain of somebody else's.
pub(super) fn remembered(base: &Base, spec: &Spec) -> Option<(String, String)> {
    let slots = [&spec.cards, &spec.functions].into_iter().flatten().flatten();
    if !base.is_foreign() || base.purpose == Purpose::Detach || slots.count() == 0 {
        return None;
    }
    words(base, SINGLE, single(&base.domain))
}

/// The slots of a domain whose first function is alone and does not say it: `0:2`, `3:0`.
fn single(domain: &Document) -> Vec<String> {
    let is_silent = |address: &Element<'_>| is_first(*address) && address.attribute("multifunction").is_none();
    let places: BTreeSet<(u32, u32)> = joinable(domain.root()).filter(is_silent).filter_map(place).collect();
    let is_alone = |place: &&(u32, u32)| on_slot(domain.root(), **place).count() == 1;
    places.iter().filter(is_alone).map(|(bus, slot)| format!("{bus}:{slot}")).collect()
}

/// Takes it back where the first function is alone again.
pub(super) fn take_back(domain: &mut Document, single: &str) {
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
