//! Which characters an XML text may contain (XML 1.0, production 2, `Char`), and how they are escaped.

use quick_xml::escape::{escape, partial_escape};

/// Whether XML allows all characters of a text.
pub fn is_xml(text: &str) -> bool {
    text.chars().all(is_character)
}

fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The escaped value of an attribute.
pub(super) fn of_attribute(value: &str) -> String {
    escape(printable(value)).into_owned()
}

/// The escaped text of an element.
pub(super) fn of_text(text: &str) -> String {
    partial_escape(printable(text)).into_owned()
}

/// Replaces characters that XML does not allow with U+FFFD.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_character(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, Fragment};

    #[test]
    fn what_is_written_can_be_read() {
        let all: String = (0..=0x0011_0000_u32).step_by(7).chain(0..0x200).filter_map(char::from_u32).collect();
        let element = Fragment::new("a").with("b", &all).child(Fragment::new("c").text(&all));
        let mut document = Document::parse(&element.render("", "\n")).unwrap();
        let root = document.root().id();
        document.set_attribute(root, "d", &all);
        let written = document.to_string();
        assert!(is_xml(&written) && !is_xml(&all) && Document::parse(&written).is_ok());
        assert_eq!(of_attribute("a\u{1b}<\u{fffe}'"), "a\u{fffd}&lt;\u{fffd}&apos;");
    }
}
