//! The domain as it will be, while the edits are decided: a later edit depends on what earlier ones took.

use super::apply::apply;
use crate::domain::edit::{Change, Edit, Part, Written};
use crate::domain_xml::devices_with_alias;
use crate::xml::{Document, Element};

/// A copy of the base with the edits so far.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) domain: Document,
    pub(crate) edits: Vec<Edit>,
    /// What the record will remember.
    pub(crate) written: Written,
}

impl Draft {
    /// Of a domain for which the record remembers this.
    pub(crate) fn of(domain: Document, written: Written) -> Self {
        Self { domain, edits: Vec::new(), written }
    }

    pub(crate) fn root(&self) -> Element<'_> {
        self.domain.root()
    }

    /// Makes an edit and adds it to the list.
    pub(crate) fn apply(&mut self, edit: Edit) {
        self.written.note(&edit, self.domain.root());
        apply(&mut self.domain, &edit);
        self.edits.push(edit);
    }

    /// Removes the devices whose alias starts with `prefix`, except those for which `stays` (called with the rest of the
    /// alias) is true.
    pub(super) fn retain(&mut self, part: Part, prefix: &str, stays: impl Fn(Element<'_>, &str) -> bool) {
        let surplus = devices_with_alias(self.root(), prefix).filter(|(device, rest)| !stays(*device, rest));
        let surplus: Vec<String> = surplus.map(|(_, rest)| format!("{prefix}{rest}")).collect();
        for name in surplus {
            self.apply(Edit::device(part, &name, "", Change::Remove));
        }
    }
}
