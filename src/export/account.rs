//! Tracks which parts of a domain's XML the manifest expresses. Reading a value for the manifest marks it;
//! whatever is not marked at the end, and not listed in `alike`, is reported. So nothing is lost silently.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use super::alike;
use crate::xml::Element;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// The element with its whole content.
    Whole,
    /// The presence of the element.
    Tag,
    /// Its own text.
    Text,
    /// The value of an attribute.
    Attribute(String),
}

/// What was read for the manifest, what the manifest cannot express, and what remains to be done.
#[derive(Debug, Default)]
pub(super) struct Account {
    read: HashSet<(usize, Part)>,
    /// Why the manifest does not have the value of an attribute.
    reasons: HashMap<(usize, String), String>,
    pub(super) named: Vec<String>,
    /// The same, each once: a domain may have thousands.
    known: HashSet<String>,
    pub(super) notes: Vec<String>,
}

impl Account {
    /// Reports something that is not an element of its own.
    pub(super) fn name(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.known.insert(what.clone()) {
            self.named.push(what);
        }
    }

    fn report(&mut self, what: String) {
        self.known.insert(what.clone());
        self.named.push(what);
    }

    pub(super) fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    /// The manifest expresses this element; its attributes, text and children are checked separately.
    pub(super) fn covered(&mut self, element: Element<'_>) {
        self.mark(element, Part::Tag);
    }

    /// The same, with these attributes.
    pub(super) fn covered_with(&mut self, element: Element<'_>, attributes: &[&str]) {
        self.covered(element);
        for name in attributes {
            self.attribute(element, name);
        }
    }

    /// The manifest expresses this element with its whole content, or the content makes no difference.
    pub(super) fn all_covered(&mut self, element: Element<'_>) {
        self.mark(element, Part::Whole);
    }

    /// The manifest cannot express this element: it is reported, with the reason.
    pub(super) fn unsupported(&mut self, element: Element<'_>, because: &str) {
        self.mark(element, Part::Whole);
        // Equal elements are reported separately.
        self.report(format!("{because}: {}", shown(element)));
    }

    /// The manifest cannot express this value: it is reported, with the reason.
    pub(super) fn unsupported_attribute(&mut self, element: Element<'_>, name: &str, because: impl Into<String>) {
        self.reasons.insert((element.range().start, name.to_owned()), because.into());
    }

    /// An element's text, for the manifest.
    pub(super) fn text<'d>(&mut self, element: Element<'d>) -> &'d str {
        self.mark(element, Part::Text);
        element.text()
    }

    /// An attribute's value, for the manifest.
    pub(super) fn attribute(&mut self, element: Element<'_>, name: &str) -> Option<String> {
        self.attribute_if(element, name, |_| true)
    }

    /// The same, if it is a value that the manifest can have.
    pub(super) fn one_of(&mut self, element: Element<'_>, name: &str, values: &[&str]) -> Option<String> {
        self.attribute_if(element, name, |value| values.contains(&value))
    }

    /// The same, if it is a number.
    pub(super) fn number<N: FromStr>(&mut self, element: Element<'_>, name: &str) -> Option<N> {
        self.attribute_if(element, name, |value| value.parse::<N>().is_ok())?.parse().ok()
    }

    /// Whether a feature is on, for the manifest. `None` if it is missing, or its state is not a known word.
    pub(super) fn state(&mut self, feature: Option<Element<'_>>) -> Option<bool> {
        let feature = feature?;
        if feature.attribute("state").is_none() {
            self.covered(feature);
            return Some(true);
        }
        let state = self.one_of(feature, "state", &["on", "off"])?;
        self.covered(feature);
        Some(state == "on")
    }

    fn attribute_if(&mut self, element: Element<'_>, name: &str, fits: impl FnOnce(&str) -> bool) -> Option<String> {
        let value = element.attribute(name).filter(|value| fits(value))?.into_owned();
        self.mark(element, Part::Attribute(name.to_owned()));
        Some(value)
    }

    fn mark(&mut self, element: Element<'_>, part: Part) {
        self.read.insert((element.range().start, part));
    }

    fn has(&self, element: Element<'_>, part: Part) -> bool {
        self.read.contains(&(element.range().start, part))
    }

    /// Reports whatever was not read.
    pub(super) fn close(&mut self, domain: Element<'_>) {
        self.judge(domain, "", "");
    }

    /// `path`: element names, each followed by a slash; `place`: the same for display.
    fn judge(&mut self, element: Element<'_>, path: &str, place: &str) {
        for attribute in element.attribute_names() {
            let is_alike = attribute.starts_with("xmlns") || alike::attribute(element, path, attribute);
            if is_alike || self.has(element, Part::Attribute(attribute.to_owned())) {
                continue;
            }
            let of = if place.is_empty() { format!("<{}>", element.name()) } else { place.to_owned() };
            let because = self.reasons.get(&(element.range().start, attribute.to_owned()));
            let because = because.map(|because| format!(": {because}")).unwrap_or_default();
            self.name(format!("{} of {of}{because}", assignment(element, attribute)));
        }
        if !element.text().is_empty() && !self.has(element, Part::Text) && !alike::text(element, path) {
            self.name(format!("the text '{}' of {place}", element.text()));
        }
        let mut brothers: HashMap<&str, usize> = HashMap::new();
        for child in element.children() {
            let number = brothers.entry(child.name()).and_modify(|number| *number += 1).or_insert(1);
            let child_path = format!("{path}{}", child.name());
            if self.has(child, Part::Whole) || alike::whole(&child_path) {
                continue;
            }
            let space = if place.is_empty() { "" } else { " " };
            // `<devices>` is not displayed.
            let child_place = if child_path == "devices" { String::new() } else { format!("{place}{space}<{}>", label(child, *number)) };
            if self.has(child, Part::Tag) || alike::tag(child, &child_path) {
                self.judge(child, &format!("{child_path}/"), &child_place);
            } else {
                self.report(format!("{place}{space}{}", shown(child)));
            }
        }
    }
}

/// An element's name, with what distinguishes it from its siblings, of which it is the first, the second, and so on.
fn label(child: Element<'_>, number: usize) -> String {
    let name = child.name();
    match child.child("target").and_then(|target| target.attribute("dev")) {
        Some(device) => format!("{name} {device}"),
        None if number > 1 => format!("{name} {number}"),
        None => name.to_owned(),
    }
}

fn assignment(element: Element<'_>, name: &str) -> String {
    let value = element.attribute(name).unwrap_or_default();
    // Reports may be shared: they contain no password.
    let value = if name == "passwd" { "(not shown)".into() } else { value };
    format!("{name}='{}'", quick_xml::escape::escape(value.as_ref()))
}

/// An element on one line.
fn shown(element: Element<'_>) -> String {
    let attributes: String = element.attribute_names().map(|name| format!(" {}", assignment(element, name))).collect();
    let name = element.name();
    let inner: String = element.children().map(shown).collect();
    let text = quick_xml::escape::escape(element.text().split_whitespace().collect::<Vec<_>>().join(" "));
    if inner.is_empty() && text.is_empty() {
        format!("<{name}{attributes}/>")
    } else {
        format!("<{name}{attributes}>{text}{inner}</{name}>")
    }
}
