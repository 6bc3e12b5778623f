//! What the record has to remember of the domain as it was before vgapt's devices.

use std::collections::BTreeSet;

use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::spec::Spec;
use crate::domain_xml::{alias_of, hostdev_of, is_first, joinable, on_slot, place};
use crate::model::PciAddress;
use crate::xml::{Document, Element};

/// The functions that were passed through by hand before vgapt: they stay in the domain when vgapt removes
/// its own. A function that vgapt added does not count, even if its alias was lost.
pub(crate) fn by_hand(base: &Base, spec: &Spec) -> BTreeSet<PciAddress> {
    let last = base.last.as_ref();
    let mut known = last.map(|last| last.by_hand.clone()).unwrap_or_default();
    if base.purpose == Purpose::Detach {
        return known;
    }
    let was_passed = |function| last.is_some_and(|last| last.passed.iter().any(|passed| passed.address == function));
    let is_ours = |name: String| name.starts_with(alias::GPU) || name.starts_with(alias::PCI);
    known.extend(spec.slots().flat_map(|slot| &slot.functions).copied().filter(|function| {
        let hostdev = hostdev_of(base.domain.root(), *function);
        !was_passed(*function) && hostdev.is_some_and(|hostdev| !alias_of(hostdev).is_some_and(is_ours))
    }));
    known
}

/// The guest slots whose first function had no `multifunction` attribute before functions were added to a domain that
/// vgapt does not manage.
pub(crate) fn single_functions(base: &Base, spec: &Spec) -> BTreeSet<(u32, u32)> {
    let mut known = base.last.as_ref().map(|last| last.single_functions.clone()).unwrap_or_default();
    if base.is_unmanaged() && base.purpose != Purpose::Detach && spec.slots().next().is_some() {
        known.extend(single(&base.domain));
    }
    known
}

/// The slots of a domain with a single function and without the attribute: bus and slot.
fn single(domain: &Document) -> Vec<(u32, u32)> {
    let is_unmanaged = |device| alias_of(device).is_none_or(|name| !name.starts_with(alias::OURS));
    let is_silent = |address: &Element<'_>| is_first(*address) && address.attribute("multifunction").is_none();
    let places: BTreeSet<(u32, u32)> = joinable(domain.root(), is_unmanaged).filter(is_silent).filter_map(place).collect();
    places.into_iter().filter(|place| on_slot(domain.root(), *place).count() == 1).collect()
}
