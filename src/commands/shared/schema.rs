//! What libvirt's schema refuses, where it comes from, and whether `--force` helps.

use crate::model::Finding;
use crate::xml::{Document, Element};

/// The finding for a domain that the schema refuses with these words. `dropped` are the elements and attributes that
/// libvirt's parser would drop; `None` where the parser refuses the domain too. `brought` is the user's own part, and
/// its place for the remedy.
pub(super) fn refusal(words: &str, dropped: Option<&[String]>, brought: Option<(&Document, &str)>) -> Finding {
    let Some(dropped) = dropped else {
        let remedy = "correct what the message names; --force does not help";
        return Finding::blocked("schema", format!("both libvirt's schema and its parser refuse the domain: {words}"), remedy);
    };
    if dropped.is_empty() {
        let message = format!("libvirt's schema refuses the domain, but its parser would drop nothing: {words}");
        return Finding::blocked("schema", message, "--force defines the domain without schema validation");
    }
    let is_brought = |path: &str| brought.is_some_and(|(domain, _)| has(domain.root(), path));
    let (theirs, ours): (Vec<&str>, Vec<&str>) = dropped.iter().map(String::as_str).partition(|path| is_brought(path));
    let mut remedies = Vec::new();
    if let (Some((_, place)), false) = (brought, theirs.is_empty()) {
        remedies.push(format!("remove {} from {place}", theirs.join(", ")));
    }
    if !ours.is_empty() {
        remedies.push(format!(
            "update libvirt, or omit the option that requires {}: vgapt wrote it, and this libvirt does not support it",
            ours.join(", ")
        ));
    }
    Finding::blocked(
        "schema",
        format!("libvirt's schema refuses the domain; libvirt would drop: {}", dropped.join(", ")),
        format!("{}; --force defines the domain without it", remedies.join("; ")),
    )
}

/// Whether a domain has an element (`devices/disk`), or one with this attribute (`devices/disk @colour`).
fn has(root: Element<'_>, path: &str) -> bool {
    let (path, attribute) = path.split_once(" @").map_or((path, None), |(path, attribute)| (path, Some(attribute)));
    let mut found = vec![root];
    for name in path.split('/').filter(|name| !name.is_empty()) {
        found = found.into_iter().flat_map(|element| element.children_named(name)).collect();
    }
    found.iter().any(|element| attribute.is_none_or(|attribute| element.attribute(attribute).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_what_the_schema_refuses() {
        let document = Document::parse("<domain x='1'><devices><disk/><disk colour='red'/></devices></domain>").unwrap();
        let is_there = |path: &str| has(document.root(), path);
        assert!(is_there("devices/disk") && is_there("devices/disk @colour") && is_there(" @x"));
        assert!(!is_there("devices/disk @size") && !is_there("devices/tpm") && !is_there(" @y"));
    }
}
