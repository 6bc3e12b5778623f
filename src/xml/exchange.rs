//! Replaces parts of a document and updates the ranges around them. Parsing the whole text again for each edit would
//! take quadratic time.

use std::ops::Range;

use super::document::{Attribute, Fault, Node, parse_nodes};
use super::{Document, Id};

impl Document {
    fn fail(&mut self, edit: &str, (_, what): &Fault) {
        self.fault.get_or_insert_with(|| format!("an edit would make the XML not well-formed ({what}): {edit}"));
    }

    /// Replaces a part of an element, which stays one element.
    pub(super) fn splice(&mut self, id: Id, range: Range<usize>, replacement: &str) {
        let whole = self.node(id).range.clone();
        let source = [&self.text[whole.start..range.start], replacement, &self.text[range.end..whole.end]].concat();
        match parse_element(&source) {
            Ok(nodes) => self.exchange(self.node(id).parent, id.0..self.behind(id), nodes, whole.start, range, replacement),
            Err(fault) => self.fail(replacement, &fault),
        }
    }

    /// Inserts text with one new element between the children of a parent; `index` is its id.
    pub(super) fn insert(&mut self, parent: Option<Id>, index: usize, at: usize, text: &str) {
        match parse_element(text) {
            Ok(nodes) if parent.is_some() => self.exchange(parent, index..index, nodes, at, at..at, text),
            Ok(_) => self.fail(text, &(at, "more than one root element".into())),
            Err(fault) => self.fail(text, &fault),
        }
    }

    /// Removes an element, with the white space before it that is in the range.
    pub(super) fn cut(&mut self, id: Id, range: Range<usize>) {
        match self.node(id).parent {
            Some(parent) => self.exchange(Some(parent), id.0..self.behind(id), Vec::new(), range.start, range, ""),
            None => self.fail("", &(0, "no root element".into())),
        }
    }

    /// Removes several parts of the text at once.
    pub(super) fn without(&mut self, parts: &[Range<usize>]) {
        let mut text = String::with_capacity(self.text.len());
        let mut end = 0;
        for part in parts.iter().filter(|part| part.start < part.end) {
            text.push_str(&self.text[end..part.start.max(end)]);
            end = end.max(part.end);
        }
        text.push_str(&self.text[end..]);
        match parse_nodes(&text) {
            Ok(nodes) => (self.text, self.nodes) = (text, nodes),
            Err(fault) => self.fail("", &fault),
        }
    }

    /// The id after an element and its descendants.
    pub(super) fn behind(&self, id: Id) -> usize {
        let mut last = id;
        while let Some(child) = self.node(last).children.last() {
            last = *child;
        }
        last.0 + 1
    }

    /// Replaces nodes by new ones, whose text begins at `origin`, and their text.
    fn exchange(&mut self, parent: Option<Id>, old: Range<usize>, new: Vec<Node>, origin: usize, range: Range<usize>, replacement: &str) {
        let by = Shift { nodes: (old.len(), new.len()), text: (range.len(), replacement.len()) };
        self.text.replace_range(range, replacement);
        for node in &mut self.nodes[old.end..] {
            node.range = by.moved(&node.range);
            node.name = by.moved(&node.name);
            node.inner = node.inner.as_ref().map(|inner| by.moved(inner));
            for attribute in &mut node.attributes {
                *attribute = Attribute { name: by.moved(&attribute.name), value: by.moved(&attribute.value) };
            }
            node.parent = node.parent.map(|id| by.renumbered(id, old.end));
            node.children.iter_mut().for_each(|id| *id = by.renumbered(*id, old.end));
        }
        let mut above = parent;
        while let Some(Id(index)) = above {
            let node = &mut self.nodes[index];
            node.range.end = by.place(node.range.end);
            node.inner = node.inner.as_ref().map(|inner| inner.start..by.place(inner.end));
            node.children.retain(|id| !old.contains(&id.0));
            node.children.iter_mut().for_each(|id| *id = by.renumbered(*id, old.end));
            if Some(Id(index)) == parent && !new.is_empty() {
                let position = node.children.partition_point(|id| id.0 < old.start);
                node.children.insert(position, Id(old.start));
            }
            above = node.parent;
        }
        let base = Shift { nodes: (0, old.start), text: (0, origin) };
        let new = new.into_iter().map(|node| Node {
            parent: node.parent.map(|id| base.renumbered(id, 0)).or(parent),
            name: base.moved(&node.name),
            attributes: node
                .attributes
                .iter()
                .map(|attribute| Attribute { name: base.moved(&attribute.name), value: base.moved(&attribute.value) })
                .collect(),
            children: node.children.iter().map(|id| base.renumbered(*id, 0)).collect(),
            range: base.moved(&node.range),
            inner: node.inner.as_ref().map(|inner| base.moved(inner)),
            content: node.content,
        });
        self.nodes.splice(old, new);
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<Id> {
        (0..self.nodes.len()).map(Id).collect()
    }

    /// All that is known of the elements' places.
    #[cfg(test)]
    pub(super) fn places(&self) -> Vec<String> {
        let of = |node: &Node| format!("{:?}", (node.parent, &node.name, &node.attributes, &node.children, &node.range, &node.inner));
        self.nodes.iter().map(of).collect()
    }
}

/// How far an edit moves what follows it: old and new number of nodes, old and new length of text.
struct Shift {
    nodes: (usize, usize),
    text: (usize, usize),
}

impl Shift {
    fn place(&self, place: usize) -> usize {
        place + self.text.1 - self.text.0
    }

    fn moved(&self, range: &Range<usize>) -> Range<usize> {
        self.place(range.start)..self.place(range.end)
    }

    fn renumbered(&self, id: Id, from: usize) -> Id {
        if id.0 < from { id } else { Id(id.0 + self.nodes.1 - self.nodes.0) }
    }
}

/// The nodes of a text that is one element.
fn parse_element(text: &str) -> Result<Vec<Node>, Fault> {
    // A declaration or a comment before the element would become part of it.
    let start = text.trim_start();
    if !start.starts_with('<') || start.starts_with("<?") || start.starts_with("<!") {
        return Err((0, "no element".into()));
    }
    parse_nodes(text)
}
