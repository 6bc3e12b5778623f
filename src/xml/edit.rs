//! Edits of a document: each replaces one range of its text.

use std::ops::Range;

use super::fragment::deeper;
use super::{Document, Fragment, Id, characters};

impl Document {
    /// Sets an attribute; changes nothing where it already has the value.
    pub fn set_attribute(&mut self, id: Id, name: &str, value: &str) {
        if self.element(id).attribute(name).is_some_and(|now| now == value) {
            return;
        }
        let escaped = characters::of_attribute(value);
        match self.attribute(id, name).map(|attribute| attribute.value.clone()) {
            Some(range) => self.splice(id, range, &escaped),
            None => {
                // After the last attribute's closing quote, or after the name.
                let at = self.last_attribute(id).map_or_else(|| self.name_end(id), |last| last.value.end + 1);
                self.splice(id, at..at, &format!(" {name}='{escaped}'"));
            }
        }
    }

    /// Removes an attribute, with the white space before it.
    pub fn remove_attribute(&mut self, id: Id, name: &str) {
        let Some(attribute) = self.attribute(id, name) else { return };
        let (start, end) = (attribute.name.start, attribute.value.end + 1);
        let start = self.text[..start].trim_end().len();
        self.splice(id, start..end, "");
    }

    /// Replaces the whole content of an element by this text.
    pub fn set_text(&mut self, id: Id, text: &str) {
        let element = self.element(id);
        if element.text() == text && element.children().next().is_none() {
            return;
        }
        let escaped = characters::of_text(text);
        match self.node(id).inner.clone() {
            Some(range) => self.splice(id, range, &escaped),
            None => self.open_up(id, &escaped),
        }
    }

    /// Adds a new element after the other children.
    pub fn append(&mut self, parent: Id, fragment: &Fragment) {
        let last = self.element(parent).children().last().map(super::Element::id);
        match last {
            Some(last) => self.insert_after(last, fragment),
            None => self.insert_only(parent, fragment),
        }
    }

    /// Inserts a new element after this one, on its own line.
    pub fn insert_after(&mut self, sibling: Id, fragment: &Fragment) {
        let range = self.node(sibling).range.clone();
        let indent = self.indent_of(range.start).to_owned();
        let line_end = self.line_end();
        let text = format!("{line_end}{indent}{}", fragment.render(&indent, line_end));
        self.insert(self.node(sibling).parent, self.behind(sibling), range.end, &text);
    }

    /// Inserts a new element before this one, on its own line.
    pub fn insert_before(&mut self, sibling: Id, fragment: &Fragment) {
        let start = self.node(sibling).range.start;
        let indent = self.indent_of(start).to_owned();
        let line_end = self.line_end();
        let text = format!("{}{line_end}{indent}", fragment.render(&indent, line_end));
        self.insert(self.node(sibling).parent, sibling.0, start, &text);
    }

    /// Replaces an element by the source of another, as [`Element::source`](super::Element::source) returns it.
    pub fn replace(&mut self, id: Id, source: &str) {
        let range = self.node(id).range.clone();
        self.splice(id, range, source);
    }

    /// Removes an element; if it is first on its line, also the white space and the line end before it.
    pub fn remove(&mut self, id: Id) {
        self.cut(id, self.with_line_start(id));
    }

    /// Removes several elements at once, as [`remove`](Self::remove) does; none may be inside another.
    pub fn remove_all(&mut self, ids: &[Id]) {
        let mut ranges: Vec<Range<usize>> = ids.iter().map(|id| self.with_line_start(*id)).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        if !ranges.is_empty() {
            self.without(&ranges);
        }
    }

    fn with_line_start(&self, id: Id) -> Range<usize> {
        let range = self.node(id).range.clone();
        let before = self.text[..range.start].trim_end_matches([' ', '\t']);
        let line_end = if before.ends_with("\r\n") { 2 } else { usize::from(before.ends_with('\n')) };
        let start = if line_end > 0 { before.len() - line_end } else { range.start };
        start..range.end
    }

    /// Inserts the first child of an element: its white space is replaced, its text and comments stay.
    fn insert_only(&mut self, parent: Id, fragment: &Fragment) {
        let outer = self.indent_of(self.node(parent).range.start).to_owned();
        let indent = deeper(&outer);
        let line_end = self.line_end();
        let text = format!("{line_end}{indent}{}", fragment.render(&indent, line_end));
        match self.node(parent).inner.clone() {
            None => self.open_up(parent, &format!("{text}{line_end}{outer}")),
            Some(range) if self.text[range.clone()].trim().is_empty() => self.splice(parent, range, &format!("{text}{line_end}{outer}")),
            Some(range) => {
                let end = range.start + self.text[range.clone()].trim_end().len();
                self.splice(parent, end..range.end, &format!("{text}{line_end}{outer}"));
            }
        }
    }

    /// `<name/>` becomes `<name>content</name>`.
    fn open_up(&mut self, id: Id, content: &str) {
        let range = self.node(id).range.clone();
        let name = self.element(id).name().to_owned();
        let tag_end = self.text[range.clone()].trim_end_matches("/>").trim_end().len() + range.start;
        self.splice(id, tag_end..range.end, &format!(">{content}</{name}>"));
    }

    /// The indentation of the line that contains this position.
    fn indent_of(&self, start: usize) -> &str {
        let line = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let length = self.text[line..start].find(|c| c != ' ' && c != '\t').unwrap_or(start - line);
        &self.text[line..line + length]
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
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

        /// The document after an edit is the same as one parsed from its new text.
        #[test]
        fn edits_leave_what_reading_anew_finds(edits in proptest::collection::vec((0_usize..8, 0_usize..100), 1..30)) {
            let mut document = Document::parse("<r>\n  <a x='1'>t</a>\n  <b><c/><d>\n    <e/></d></b>\n  <f/>\n</r>").unwrap();
            for (edit, which) in edits {
                let ids = document.ids();
                let id = ids[which % ids.len()];
                match edit {
                    0 => document.set_attribute(id, "x", "'new' & long"),
                    1 => document.remove_attribute(id, "x"),
                    2 => document.append(id, &Fragment::new("n").with("k", 1).child(Fragment::new("m"))),
                    3 if id != ids[0] => document.insert_after(id, &Fragment::new("p").text("q")),
                    4 if id != ids[0] => document.insert_before(id, &Fragment::new("o")),
                    5 if id != ids[0] => document.remove(id),
                    6 if id != ids[0] => document.set_text(id, "words"),
                    7 if id != ids[0] => document.replace(id, "<s><u v='w'/></s>"),
                    _ => {}
                }
                prop_assert_eq!(document.fault(), None);
                let anew = Document::parse(&document.to_string()).unwrap();
                prop_assert_eq!(document.places(), anew.places());
            }
        }
    }

    #[test]
    fn a_second_byte_order_mark_is_refused() {
        assert!(Document::parse("\u{feff}<r/>").is_ok());
        assert!(Document::parse("\u{feff}\u{feff}<r/>").unwrap_err().contains("byte order mark"));
    }

    #[test]
    fn an_edit_that_cannot_be_made_is_a_fault() {
        let mut document = Document::parse("<r><a/></r>").unwrap();
        let a = document.root().child("a").unwrap().id();
        for source in ["<b>", "<b/><c/>", "text", "", "<?x?><b/>"] {
            let mut edited = document.clone();
            edited.replace(a, source);
            assert!(edited.fault().is_some_and(|fault| fault.contains("not well-formed")), "{source}");
            assert_eq!(edited.to_string(), "<r><a/></r>");
        }
        let root = document.root().id();
        document.remove(root);
        assert!(document.fault().is_some());
        assert_eq!(document.to_string(), "<r><a/></r>");
    }

    #[test]
    fn many_edits_of_a_large_text_take_no_square_of_its_size() {
        let children: String = (0..20_000).map(|number| format!("\n  <a n='{number}'><b/></a>")).collect();
        let mut document = Document::parse(&format!("<r>{children}\n</r>")).unwrap();
        let started = std::time::Instant::now();
        for number in 0..200 {
            let id = document.root().children().nth(number * 90).unwrap().id();
            document.set_attribute(id, "n", "other");
            document.insert_after(id, &Fragment::new("n"));
        }
        let ids: Vec<Id> = document.root().children_named("a").map(super::super::Element::id).collect();
        document.remove_all(&ids);
        assert_eq!(document.root().children().count(), 200);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
