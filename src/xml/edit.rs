//! Edits of a document: each replaces one range of its text.

use std::ops::Range;

use super::fragment::deeper;
use super::{Document, Fragment, Id};

impl Document {
    /// Gives an attribute a value; nothing changes where it has it already.
    pub fn set_attribute(&mut self, id: Id, name: &str, value: &str) {
        if self.element(id).attribute(name).is_some_and(|now| now == value) {
            return;
        }
        let escaped = quick_xml::escape::escape(value).into_owned();
        match self.attribute(id, name).map(|attribute| attribute.value.clone()) {
            Some(range) => self.splice(range, &escaped),
            None => {
                // Behind the last attribute's closing quote, or behind the name.
                let at = self.last_attribute(id).map_or_else(|| self.name_end(id), |last| last.value.end + 1);
                self.splice(at..at, &format!(" {name}='{escaped}'"));
            }
        }
    }

    /// Takes an attribute out, with the white space before it.
    pub fn remove_attribute(&mut self, id: Id, name: &str) {
        let Some(attribute) = self.attribute(id, name) else { return };
        let (start, end) = (attribute.name.start, attribute.value.end + 1);
        let start = self.text[..start].trim_end().len();
        self.splice(start..end, "");
    }

    /// Makes the content of an element this text, in place of all that is in it.
    pub fn set_text(&mut self, id: Id, text: &str) {
        let element = self.element(id);
        if element.text() == text && element.children().next().is_none() {
            return;
        }
        let escaped = quick_xml::escape::partial_escape(text).into_owned();
        match self.node(id).inner.clone() {
            Some(range) => self.splice(range, &escaped),
            None => self.open_up(id, &escaped),
        }
    }

    /// Puts a new element in behind the other children.
    pub fn append(&mut self, parent: Id, fragment: &Fragment) {
        let last = self.element(parent).children().last().map(super::Element::id);
        match last {
            Some(last) => self.insert_after(last, fragment),
            None => self.insert_only(parent, fragment),
        }
    }

    /// Puts a new element in behind this one, on a line of its own.
    pub fn insert_after(&mut self, sibling: Id, fragment: &Fragment) {
        let range = self.node(sibling).range.clone();
        let indent = self.indent_of(range.start).to_owned();
        let line_end = self.line_end();
        let text = format!("{line_end}{indent}{}", fragment.render(&indent, line_end));
        self.splice(range.end..range.end, &text);
    }

    /// Puts a new element in before this one, on a line of its own.
    pub fn insert_before(&mut self, sibling: Id, fragment: &Fragment) {
        let start = self.node(sibling).range.start;
        let indent = self.indent_of(start).to_owned();
        let line_end = self.line_end();
        let text = format!("{}{line_end}{indent}", fragment.render(&indent, line_end));
        self.splice(start..start, &text);
    }

    /// Puts an element's source, as [`Element::source`](super::Element::source) gave it, in the place of another.
    pub fn replace(&mut self, id: Id, source: &str) {
        let range = self.node(id).range.clone();
        self.splice(range, source);
    }

    /// Takes an element out; where it begins its line, with the line end and the white space before it.
    pub fn remove(&mut self, id: Id) {
        let range = self.node(id).range.clone();
        let before = self.text[..range.start].trim_end_matches([' ', '\t']);
        let line_end = if before.ends_with("\r\n") { 2 } else { usize::from(before.ends_with('\n')) };
        let start = if line_end > 0 { before.len() - line_end } else { range.start };
        self.splice(start..range.end, "");
    }

    /// The only child of an element that had none: its text goes, its comments stay.
    fn insert_only(&mut self, parent: Id, fragment: &Fragment) {
        let outer = self.indent_of(self.node(parent).range.start).to_owned();
        let indent = deeper(&outer);
        let line_end = self.line_end();
        let text = format!("{line_end}{indent}{}", fragment.render(&indent, line_end));
        match self.node(parent).inner.clone() {
            None => self.open_up(parent, &format!("{text}{line_end}{outer}")),
            Some(range) if self.text[range.clone()].trim().is_empty() => self.splice(range, &format!("{text}{line_end}{outer}")),
            Some(range) => {
                let end = range.start + self.text[range.clone()].trim_end().len();
                self.splice(end..range.end, &format!("{text}{line_end}{outer}"));
            }
        }
    }

    /// `<name/>` becomes `<name>content</name>`.
    fn open_up(&mut self, id: Id, content: &str) {
        let range = self.node(id).range.clone();
        let name = self.element(id).name().to_owned();
        let tag_end = self.text[range.clone()].trim_end_matches("/>").trim_end().len() + range.start;
        self.splice(tag_end..range.end, &format!(">{content}</{name}>"));
    }

    /// The white space before an element that begins its line; that of its line where it does not.
    fn indent_of(&self, start: usize) -> &str {
        let line = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let length = self.text[line..start].find(|c| c != ' ' && c != '\t').unwrap_or(start - line);
        &self.text[line..line + length]
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn splice(&mut self, range: Range<usize>, replacement: &str) {
        let text = [&self.text[..range.start], replacement, &self.text[range.end..]].concat();
        self.reparse(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut Document, Id)) -> String {
        let mut document = Document::parse(text).unwrap();
        let id = document.root().children().next().unwrap_or(document.root()).id();
        edit(&mut document, id);
        document.to_string()
    }

    #[test]
    fn attributes_change_in_place() {
        let set = |text| edited(text, |document, id| document.set_attribute(id, "b", "x'<y"));
        assert_eq!(set("<r><a  b = \"1\"/></r>"), "<r><a  b = \"x&apos;&lt;y\"/></r>");
        assert_eq!(set("<r><a c='1' /></r>"), "<r><a c='1' b='x&apos;&lt;y' /></r>");
        assert_eq!(set("<r><a></a></r>"), "<r><a b='x&apos;&lt;y'></a></r>");
        assert_eq!(edited("<r><a c='1' b=\"2\" d='3'/></r>", |document, id| document.remove_attribute(id, "b")), "<r><a c='1' d='3'/></r>");
    }

    #[test]
    fn text_changes_in_place() {
        let set = |text| edited(text, |document, id| document.set_text(id, "4"));
        assert_eq!(set("<r><a u='x'/></r>"), "<r><a u='x'>4</a></r>");
        assert_eq!(set("<r><a>2<!-- c --></a></r>"), "<r><a>4</a></r>");
        assert_eq!(set("<r><a> 4 </a></r>"), "<r><a> 4 </a></r>");
    }

    #[test]
    fn insertions_take_the_indent_and_line_end_around_them() {
        let new = Fragment::new("n").child(Fragment::new("m"));
        let append = |text: &str| {
            let mut document = Document::parse(text).unwrap();
            let root = document.root().id();
            document.append(root, &new);
            document.to_string()
        };
        assert_eq!(append("<r>\n\t<a/>\n</r>"), "<r>\n\t<a/>\n\t<n>\n\t\t<m/>\n\t</n>\n</r>");
        assert_eq!(append("<r>\r\n  <a/>\r\n</r>"), "<r>\r\n  <a/>\r\n  <n>\r\n    <m/>\r\n  </n>\r\n</r>");
        assert_eq!(append("<r/>"), "<r>\n  <n>\n    <m/>\n  </n>\n</r>");
        assert_eq!(append("\u{feff}<r>\n</r>"), "\u{feff}<r>\n  <n>\n    <m/>\n  </n>\n</r>");
        assert_eq!(append("<r>\n  <!-- only -->\n</r>"), "<r>\n  <!-- only -->\n  <n>\n    <m/>\n  </n>\n</r>");
    }

    #[test]
    fn what_is_put_in_and_taken_out_leaves_no_trace() {
        for text in ["<r>\n  <a/>\n</r>", "<r>\r\n  <a/>\r\n\r\n  <b/>\r\n</r>", "<r>\n  <a/><!-- c --></r>", "<r><a/><b/></r>"] {
            let after = edited(text, |document, id| {
                document.insert_after(id, &Fragment::new("n"));
                let new = document.root().child("n").unwrap().id();
                document.remove(new);
            });
            assert_eq!(after, text);
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = Document::parse(&text);
        }

        #[test]
        fn parsing_of_almost_xml_never_panics(parts in proptest::collection::vec(
            prop_oneof![
                Just("<a>"), Just("</a>"), Just("<a b='"), Just("'"), Just("\""), Just("/>"), Just("<![CDATA["), Just("]]>"),
                Just("<!--"), Just("-->"), Just("&amp;"), Just("&x;"), Just("<?"), Just("?>"), Just("é"), Just(" b='1'"), Just("<!DOCTYPE a ["), Just("]>"),
            ], 0..20)) {
            if let Ok(document) = Document::parse(&parts.concat()) {
                prop_assert_eq!(document.to_string(), parts.concat());
                let mut edited = document.clone();
                let root = edited.root().id();
                edited.set_attribute(root, "z", "1");
                let root = edited.root().id();
                edited.append(root, &Fragment::new("n"));
                let has_new = edited.root().child("n").is_some();
                prop_assert!(has_new, "{}", edited);
            }
        }
    }
}
