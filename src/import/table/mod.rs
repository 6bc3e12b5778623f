//! What libvirt has for the options, devices and properties of QEMU, a line each. A new option of QEMU is a new line here; what
//! is no table is a function in the file of its subject.
//!
//! A place is where a value goes: elements and an attribute, `driver@queues`; without `@` it is an element's text. `@model=none` is
//! a fixed value. `*` is the name of the property, `+` the name from its first `-` or `_` on, and `~` the name in libvirt's spelling of
//! attributes, `mixingEngine` for `mixing-engine`. One column can hold several names or places, separated by spaces.

mod convert;
mod names;
mod options;
mod properties;

pub(super) use convert::{Converted, has, is_on, named, number, of, write};
pub(super) use names::{NAMES, VGA, element, group, places};
pub(super) use options::{LINES, MEANINGLESS, PATH_PROPERTIES, PATHS, SPELLINGS, VALUES, WITH_PROPERTIES, WITHOUT_VALUE};
pub(super) use properties::PROPERTIES;
