//! A new element that is not in a document yet.

#![allow(clippy::needless_pass_by_value)] // Values of many types are written: numbers, addresses, `format_args!`.

use super::characters::{of_attribute, of_text};

/// An element to be written: attributes in single quotes as libvirt writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first element on a path, `driver` or `source/gl`.
    pub fn at(&self, path: &str) -> Option<&Fragment> {
        path.split('/').try_fold(self, |element, step| element.children.iter().find(|child| child.name == step))
    }

    /// The element on a path, created where it is missing; `timer[name=rtc]` is the one with this attribute.
    pub fn below(&mut self, path: &str) -> &mut Fragment {
        path.split('/').filter(|step| !step.is_empty()).fold(self, |element, step| {
            let (name, of) = step.strip_suffix(']').and_then(|step| step.split_once('[')).unwrap_or((step, ""));
            let of = of.split_once('=');
            let is_it = |child: &Fragment| child.name == name && of.is_none_or(|(name, value)| child.attribute(name) == Some(value));
            let at = element.children.iter().position(is_it).unwrap_or_else(|| {
                let new = Fragment::new(name);
                element.children.push(if let Some((name, value)) = of { new.with(name, value) } else { new });
                element.children.len() - 1
            });
            &mut element.children[at]
        })
    }

    /// Adds a child below a path.
    pub fn push(&mut self, path: &str, child: Fragment) {
        self.below(path).children.push(child);
    }

    /// Sets an attribute (`driver@queues`), or the text of an element (`source/path`); elements are created where they are missing.
    pub fn set(&mut self, place: &str, value: impl ToString) {
        let (path, name) = place.rsplit_once('@').unwrap_or((place, ""));
        let element = self.below(path);
        if name.is_empty() {
            element.text = value.to_string();
        } else if let Some((_, old)) = element.attributes.iter_mut().find(|(known, _)| known == name) {
            *old = value.to_string();
        } else {
            element.attributes.push((name.to_owned(), value.to_string()));
        }
    }

    /// Adds what another element has and this one lacks; of children with the same name the first is filled in.
    pub fn absorb(&mut self, other: Fragment) {
        for (name, value) in other.attributes {
            if self.attribute(&name).is_none() {
                self.attributes.push((name, value));
            }
        }
        if self.text.is_empty() {
            self.text = other.text;
        }
        for child in other.children {
            match self.children.iter_mut().find(|own| own.name == child.name) {
                Some(own) => own.absorb(child),
                None => self.children.push(child),
            }
        }
    }

    /// Removes the children of a name.
    pub fn remove(&mut self, name: &str) {
        self.children.retain(|child| child.name != name);
    }

    /// Orders the children by their names; those that are not named come last.
    pub fn sort(&mut self, names: &[&str]) {
        self.children.sort_by_key(|child| names.iter().position(|name| *name == child.name).unwrap_or(names.len()));
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
