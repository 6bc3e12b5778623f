//! Lossless editing of an XML text: the parser records the byte range of each element, and an edit replaces a range.
//! Everything else stays unchanged, byte for byte.

mod characters;
mod document;
mod edit;
mod exchange;
mod fragment;

pub use characters::is_xml;
pub use document::{Document, Element, Id};
pub use fragment::Fragment;
