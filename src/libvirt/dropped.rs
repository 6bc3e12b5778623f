//! What libvirt would drop of an XML that its schema refuses: the test driver, which lives in this
//! process, parses it, and what does not come back is what libvirt does not know.

use std::collections::BTreeSet;

use vgapt::xml::{Document, Element};
use virt::connect::Connect;

/// A name that no domain of the test driver has.
const PROBE: &str = "vgapt-probe";

/// The elements and attributes that libvirt's parser drops; `None` where it refuses the whole.
pub(super) fn by_parser(xml: &str) -> Option<Vec<String>> {
    let mut given = Document::parse(xml).ok()?;
    if let Some(name) = given.root().child("name").map(Element::id) {
        given.set_text(name, PROBE);
    }
    let come_back = || -> Option<Document> {
        let connect = Connect::open(Some("test:///default")).ok()?;
        let domain = connect.define_domain_xml(&given.to_string()).ok()?;
        let text = domain.xml_desc(virt::sys::VIR_DOMAIN_XML_INACTIVE | virt::sys::VIR_DOMAIN_XML_SECURE).ok()?;
        Document::parse(&text).ok()
    };
    come_back().map(|back| missing(&given, &back))
}

fn missing(given: &Document, back: &Document) -> Vec<String> {
    let mut known = BTreeSet::new();
    walk(back.root(), "", &mut |path: &str| {
        known.insert(path.to_owned());
    });
    let mut missing = Vec::new();
    walk(given.root(), "", &mut |path: &str| {
        let new = !known.contains(path)
            && !missing.iter().any(|above: &String| path.starts_with(&format!("{above}/")) || path.starts_with(&format!("{above} @")));
        if new {
            missing.push(path.to_owned());
        }
    });
    missing.dedup();
    missing
}

/// Visits elements (`devices/disk`) and attributes (`devices/disk @type`); metadata and elements of
/// other namespaces are libvirt's to keep.
fn walk(element: Element<'_>, path: &str, visit: &mut impl FnMut(&str)) {
    if !path.is_empty() {
        visit(path);
    }
    for attribute in element.attribute_names().filter(|name| !name.starts_with("xmlns")) {
        visit(&format!("{path} @{attribute}"));
    }
    for child in element.children().filter(|child| !child.name().contains(':') && child.name() != "metadata") {
        let below = if path.is_empty() { child.name().to_owned() } else { format!("{path}/{}", child.name()) };
        walk(child, &below, visit);
    }
}
