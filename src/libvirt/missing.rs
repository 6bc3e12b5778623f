//! The elements and attributes that an XML lacks of another one.

use std::collections::BTreeSet;

use vgapt::xml::Element;

/// Those of `given` that `back` lacks, each once and without what is below them.
pub(super) fn missing(given: Element<'_>, back: Element<'_>) -> Vec<String> {
    let mut known = BTreeSet::new();
    walk(back, "", &mut |path: &str| {
        known.insert(path.to_owned());
        true
    });
    let (mut missing, mut named) = (Vec::new(), BTreeSet::new());
    walk(given, "", &mut |path: &str| {
        let is_known = known.contains(path);
        if !is_known && named.insert(path.to_owned()) {
            missing.push(path.to_owned());
        }
        is_known
    });
    missing
}

/// Visits elements (`devices/disk`) and attributes (`devices/disk @type`), but not metadata and elements of other
/// namespaces, which libvirt keeps; nor what is in an element where the visit says so.
fn walk(element: Element<'_>, path: &str, visit: &mut impl FnMut(&str) -> bool) {
    if !path.is_empty() && !visit(path) {
        return;
    }
    for attribute in element.attribute_names().filter(|name| !name.starts_with("xmlns")) {
        visit(&format!("{path} @{attribute}"));
    }
    for child in element.children().filter(|child| !child.name().contains(':') && child.name() != "metadata") {
        let below = if path.is_empty() { child.name().to_owned() } else { format!("{path}/{}", child.name()) };
        walk(child, &below, visit);
    }
}
