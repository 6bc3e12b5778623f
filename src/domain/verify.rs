//! Verifies a domain after it was written: an edit may have failed, and libvirt may have changed or dropped something.

use std::borrow::Cow;

use super::alias::OPTIONS;
use super::edit::{Attributes, Change, Edit, Policy, says, size, words};
use super::record::Record;
use super::spec::Spec;
use crate::domain_xml::{options_of, size_of};
use crate::model::Reading;
use crate::xml::{Document, Element};

/// Messages about the edits that the domain does not have. Only what was written is compared.
pub fn differences(spec: &Spec, domain: &Document) -> Vec<String> {
    let edits = spec.edits.iter().filter(|edit| edit.policy != Policy::Helper);
    let mut differences: Vec<String> = edits.filter_map(|edit| difference(edit, domain.root())).collect();
    let record = Record::of(domain);
    let is_remembered = match &spec.record {
        None => record == Reading::Absent,
        Some(written) => record.as_ref() == Reading::Known(written),
    };
    if !is_remembered {
        differences.push("vgapt's record in the metadata differs from what was written".to_owned());
    }
    differences
}

fn difference(edit: &Edit, root: Element<'_>) -> Option<String> {
    let place = &edit.place;
    let now = place.find(root);
    match &edit.change {
        Change::Put(_) => {
            let wanted = edit.says();
            let is_so = now.is_some_and(|now| says(now, &wanted));
            let asked = if wanted.is_empty() { "an element".to_owned() } else { words(&wanted) };
            let now = now.map_or_else(|| "missing".to_owned(), |now| found(now, &wanted));
            (!is_so).then(|| format!("{place} is {now}, but {asked} was requested"))
        }
        Change::Options { options, .. } => {
            let there = options_of(root, OPTIONS).flatten().filter_map(|option| option.attribute("value").map(Cow::into_owned));
            (!there.eq(options.iter().cloned())).then(|| format!("{place} does not have the options of Looking Glass that were requested"))
        }
        Change::Insert(_) | Change::Replace(_) if now.is_none() => Some(format!("{place} is missing")),
        // What others put into an element keeps it.
        Change::Remove if now.is_some() => Some(format!("{place} is still there")),
        Change::Insert(_) | Change::Replace(_) | Change::Remove | Change::Withdraw => None,
    }
}

/// What an element says of the same attributes, for a message.
fn found(now: Element<'_>, wanted: &Attributes) -> String {
    if let Some(now) = size(wanted).and(size_of(now)) {
        return now.to_string();
    }
    let value = |name: &str| if name.is_empty() { Some(now.text().to_owned()) } else { now.attribute(name).map(String::from) };
    words(&wanted.keys().map(|name| (name.clone(), value(name).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alias;
    use crate::domain::edit::Part;
    use crate::xml::Fragment;

    #[test]
    fn what_was_dropped_or_changed_is_named() {
        let domain =
            |memory: u32| Document::parse(&format!("<domain><name>x</name><memory unit='GiB'>{memory}</memory></domain>")).unwrap();
        let memory = Edit::put(Part::Memory, "memory").with("unit", "KiB").text(6 << 20);
        let spec = Spec { edits: vec![Edit::put(Part::Identity, "name").text("x"), memory], ..Spec::default() };
        assert_eq!(differences(&spec, &domain(6)), Vec::<String>::new());
        assert_eq!(differences(&spec, &domain(4)), ["memory is 4 GiB, but 6 GiB was requested"]);
        let usb = Edit::insert(Part::Usb, Fragment::new("hostdev").child(alias::element("ua-vgapt-usb-046d-c31c")));
        let pages = Edit::put(Part::Hugepages, "memoryBacking/hugepages");
        let spec = Spec { edits: vec![usb, pages], record: Some(Record::default()), ..spec };
        let found = differences(&spec, &domain(6));
        let wanted = ["the device ua-vgapt-usb-046d-c31c is missing", "memoryBacking/hugepages is missing, but an element was requested"];
        assert!(found.len() == 3 && found[..2] == wanted && found[2].contains("record"), "{found:?}");
    }
}
