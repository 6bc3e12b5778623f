//! Replaces elements, and recognises attached functions that lost their alias.

use super::devices::add;
use crate::domain::alias;
use crate::domain::record::Record;
use crate::domain::setting::find;
use crate::domain::spec::{BALLOON, Replacement, no_balloon};
use crate::domain_xml::pci_hostdevs;
use crate::xml::{Document, Element};

/// Restores the alias of attached functions where an editor removed it; they are recognised by their host address.
/// Functions that were passed before vgapt was used are left alone.
pub fn recognise(domain: &mut Document, record: &Record) {
    let is_ours = |address| record.passed.iter().any(|passed| passed.address == address) && !record.was_by_hand(address);
    let nameless = |(hostdev, address): &(Element<'_>, _)| hostdev.child("alias").is_none() && is_ours(*address);
    let found: Vec<_> = pci_hostdevs(domain.root()).filter(nameless).map(|(hostdev, address)| (hostdev.id(), address)).collect();
    // In reverse order, so that the ids of the others stay valid.
    for (hostdev, address) in found.into_iter().rev() {
        domain.append(hostdev, &alias::element(&alias::pci(alias::GPU, address)));
    }
}

/// Writes a replacement into the domain.
pub(super) fn replace(domain: &mut Document, replacement: &Replacement) {
    match find(domain.root(), &replacement.path).map(Element::id) {
        Some(id) if replacement.source.is_empty() => domain.remove(id),
        Some(id) => domain.replace(id, &replacement.source),
        None if replacement.path == BALLOON => add(domain, &no_balloon()),
        None => {}
    }
}
