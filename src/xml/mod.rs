//! Lossless editing of an XML text: elements are found with their byte ranges, and an edit replaces
//! a range. Everything that is not edited stays byte for byte as it was.

mod characters;
mod document;
mod edit;
mod exchange;
mod fragment;

pub use characters::is_xml;
pub use document::{Document, Element, Id};
pub use fragment::Fragment;
