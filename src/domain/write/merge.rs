//! Writes a [`Spec`] into a base: its edits, one after the other, and the record. Everything that vgapt does not manage
//! stays byte for byte the same, and merging a second time changes nothing.

use super::apply::{apply, reach, remove};
use crate::domain::record::{self, Record};
use crate::domain::spec::Spec;
use crate::model::Reading;
use crate::xml::{Document, Element};

/// Writes the changes into a domain.
pub fn merge(base: &Document, spec: &Spec) -> Document {
    let mut domain = base.clone();
    for edit in &spec.edits {
        apply(&mut domain, edit);
    }
    match (Record::of(&domain), &spec.record) {
        // `resolve` has reported an error, and nothing is defined; the record of a newer vgapt is not overwritten here either.
        (Reading::Unknown(_), _) => {}
        // A record of an older format is not written again only for its format.
        (Reading::Known(before), Some(record)) if before == *record => {}
        (_, Some(record)) => remember(&mut domain, record),
        (_, None) => forget(&mut domain),
    }
    domain
}

fn forget(domain: &mut Document) {
    if let Some(own) = record::element(domain).map(Element::id) {
        domain.remove(own);
    }
    remove(domain, "metadata", false);
}

fn remember(domain: &mut Document, record: &Record) {
    if let Some(own) = record::element(domain).map(Element::id) {
        domain.set_text(own, &record.text());
        return;
    }
    let metadata = reach(domain, domain.root().id(), "metadata");
    domain.append(metadata, &record.fragment());
}
