//! A new element that is not in a document yet.

#![allow(clippy::needless_pass_by_value)] // Values of many types are written: numbers, addresses, `format_args!`.

use super::characters::{of_attribute, of_text};

/// An element to be written: attributes in single quotes as libvirt writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Fragment>,
}

impl Fragment {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), text: String::new(), children: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    #[must_use]
    pub fn text(mut self, text: impl ToString) -> Self {
        self.text = text.to_string();
        self
    }

    #[must_use]
    pub fn child(mut self, child: Fragment) -> Self {
        self.children.push(child);
        self
    }

    /// With a child element, if there is one.
    #[must_use]
    pub fn child_if(mut self, child: Option<Fragment>) -> Self {
        self.children.extend(child);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    pub fn content(&self) -> &str {
        &self.text
    }

    pub fn children(&self) -> &[Fragment] {
        &self.children
    }

    /// As XML. All lines but the first are indented by `indent`; each level adds two spaces, or a tab if `indent` ends with
    /// one.
    pub fn render(&self, indent: &str, line_end: &str) -> String {
        let mut out = format!("<{}", self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}='{}'", of_attribute(value)));
        }
        if self.children.is_empty() {
            out.push_str(&if self.text.is_empty() { "/>".to_owned() } else { format!(">{}</{}>", of_text(&self.text), self.name) });
            return out;
        }
        out.push('>');
        let deeper = deeper(indent);
        for child in &self.children {
            out.push_str(&format!("{line_end}{deeper}{}", child.render(&deeper, line_end)));
        }
        out.push_str(&format!("{line_end}{indent}</{}>", self.name));
        out
    }
}

pub(super) fn deeper(indent: &str) -> String {
    format!("{indent}{}", if indent.ends_with('\t') { "\t" } else { "  " })
}
