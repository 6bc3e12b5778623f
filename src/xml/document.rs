//! An XML text and the elements in it.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const BOM: char = '\u{feff}';

/// An XML text with one root element.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) text: String,
    has_bom: bool,
    /// In the order of their start tags, so that a node and its descendants are contiguous.
    pub(super) nodes: Vec<Node>,
    pub(super) fault: Option<String>,
}

/// An element of a [`Document`], valid until the document's next edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub(super) usize);

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) parent: Option<Id>,
    pub(super) name: Range<usize>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) content: String,
    pub(super) children: Vec<Id>,
    /// From `<` of the start tag to after `>` of the end tag.
    pub(super) range: Range<usize>,
    /// Between the tags; `None` where the element is written `<name/>`.
    pub(super) inner: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// An element to read from.
#[derive(Debug, Clone, Copy)]
pub struct Element<'d> {
    document: &'d Document,
    id: Id,
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// Where it is not well-formed; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (has_bom, text) = match text.strip_prefix(BOM) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.starts_with(BOM) {
            return Err("line 1: a second byte order mark".into());
        }
        let nodes = parse_nodes(text).map_err(|(position, what)| {
            let before = text.get(..position).unwrap_or(text);
            format!("line {}: {what}", before.matches('\n').count() + 1)
        })?;
        Ok(Self { text: text.to_owned(), has_bom, nodes, fault: None })
    }

    pub fn root(&self) -> Element<'_> {
        Element { document: self, id: Id(0) }
    }

    pub fn element(&self, id: Id) -> Element<'_> {
        Element { document: self, id }
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn attribute(&self, id: Id, name: &str) -> Option<&Attribute> {
        self.node(id).attributes.iter().find(|attribute| &self.text[attribute.name.clone()] == name)
    }

    pub(super) fn last_attribute(&self, id: Id) -> Option<&Attribute> {
        self.node(id).attributes.last()
    }

    pub(super) fn name_end(&self, id: Id) -> usize {
        self.node(id).name.end
    }

    /// Why an edit failed (the first one that did); the text does not contain that edit.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.has_bom {
            write!(f, "{BOM}")?;
        }
        f.write_str(&self.text)
    }
}

impl<'d> Element<'d> {
    pub fn id(self) -> Id {
        self.id
    }

    /// Its name as written, with the prefix.
    pub fn name(self) -> &'d str {
        &self.document.text[self.node().name.clone()]
    }

    /// Its text as written, tags included.
    pub fn source(self) -> &'d str {
        &self.document.text[self.node().range.clone()]
    }

    /// Its range in the document's text (without a byte order mark).
    pub fn range(self) -> Range<usize> {
        self.node().range.clone()
    }

    pub fn attribute(self, name: &str) -> Option<Cow<'d, str>> {
        let raw = &self.document.text[self.document.attribute(self.id, name)?.value.clone()];
        Some(quick_xml::escape::unescape(raw).unwrap_or(Cow::Borrowed(raw)))
    }

    /// The names of all attributes, as written.
    pub fn attribute_names(self) -> impl Iterator<Item = &'d str> {
        self.node().attributes.iter().map(move |attribute| &self.document.text[attribute.name.clone()])
    }

    /// Its own text, without that of its children.
    pub fn text(self) -> &'d str {
        self.node().content.trim()
    }

    pub fn children(self) -> impl Iterator<Item = Element<'d>> {
        self.node().children.iter().map(move |id| Element { id: *id, ..self })
    }

    pub fn children_named(self, name: &str) -> impl Iterator<Item = Element<'d>> {
        self.children().filter(move |child| child.name() == name)
    }

    pub fn child(self, name: &str) -> Option<Element<'d>> {
        self.children_named(name).next()
    }

    /// The first element at a path of names below it: `devices/disk/source`.
    pub fn at(self, path: &str) -> Option<Element<'d>> {
        path.split('/').try_fold(self, Element::child)
    }

    /// The namespace URI of the element; `None` where none is declared.
    pub fn namespace(self) -> Option<Cow<'d, str>> {
        let declaration = match self.name().split_once(':') {
            Some((prefix, _)) => format!("xmlns:{prefix}"),
            None => "xmlns".to_owned(),
        };
        let mut element = Some(self);
        while let Some(current) = element {
            if let Some(uri) = current.attribute(&declaration) {
                return Some(uri);
            }
            element = current.node().parent.map(|id| Element { id, ..current });
        }
        None
    }

    /// Its name without the prefix.
    pub fn local_name(self) -> &'d str {
        self.name().rsplit(':').next().unwrap_or_default()
    }

    fn node(self) -> &'d Node {
        self.document.node(self.id)
    }
}

pub(super) type Fault = (usize, String);

pub(super) fn parse_nodes(text: &str) -> Result<Vec<Node>, Fault> {
    let mut reader = Reader::from_str(text);
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<Id> = Vec::new();
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(|error| (start, error.to_string()))?;
        let end = position(&reader);
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                if open.is_empty() && !nodes.is_empty() {
                    return Err((start, "more than one root element".into()));
                }
                let id = Id(nodes.len());
                let parent = open.last().copied();
                if let Some(Id(parent)) = parent {
                    nodes[parent].children.push(id);
                }
                let name = start + 1..start + 1 + tag.name().as_ref().len();
                let attributes = attributes(tag, start + 1).map_err(|what| (start, what))?;
                let empty = matches!(event, Event::Empty(_));
                let inner = (!empty).then_some(end..end);
                nodes.push(Node { parent, name, attributes, content: String::new(), children: Vec::new(), range: start..end, inner });
                if !empty {
                    open.push(id);
                }
            }
            Event::End(_) => {
                // The reader refuses an end tag without a matching start tag.
                let Some(Id(closed)) = open.pop() else { return Err((start, "an end tag without a start".into())) };
                nodes[closed].range.end = end;
                nodes[closed].inner = nodes[closed].inner.take().map(|inner| inner.start..start);
            }
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                let content = match &event {
                    Event::Text(text) => text.xml10_content(),
                    Event::CData(text) => text.xml10_content(),
                    _ => Cow::Owned(reference(&text[start..end])),
                };
                match open.last() {
                    Some(Id(current)) => nodes[*current].content.push_str(&content),
                    None if content.trim().is_empty() => {}
                    None => return Err((start, "text outside the root element".into())),
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match open.last() {
        Some(Id(unclosed)) => Err((nodes[*unclosed].range.start, format!("<{}> is never closed", &text[nodes[*unclosed].name.clone()]))),
        None if nodes.is_empty() => Err((0, "no root element".into())),
        None => Ok(nodes),
    }
}

/// Resolves a reference such as `&lt;`; a reference to an entity that is not predefined in XML is left unchanged.
fn reference(raw: &str) -> String {
    quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), Cow::into_owned)
}

/// The ranges of a tag's attributes; `offset` is the position of the tag's text in the document.
fn attributes(tag: &BytesStart<'_>, offset: usize) -> Result<Vec<Attribute>, String> {
    let origin = tag.as_ptr() as usize;
    let place = |part: &str| {
        let start = offset + (part.as_ptr() as usize - origin);
        start..start + part.len()
    };
    tag.attributes()
        .map(|attribute| {
            let attribute = attribute.map_err(|error| error.to_string())?;
            match &attribute.value {
                Cow::Borrowed(value) => Ok(Attribute { name: place(attribute.key.as_ref()), value: place(value) }),
                Cow::Owned(_) => Err("the position of an attribute is unknown".into()),
            }
        })
        .collect()
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}
