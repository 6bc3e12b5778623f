//! Converts a shell script that starts QEMU into a libvirt domain. Nothing is run, and nothing is lost
//! silently: each option becomes an element, is passed to QEMU unchanged, or is reported as meaningless.

mod assemble;
mod before;
mod channels;
mod compare;
mod controllers;
mod copied;
mod cpu;
mod display;
mod draft;
mod environment;
mod firmware;
mod host_changes;
mod hostdevs;
mod machine;
mod memory;
mod network;
mod nodes;
mod option_files;
mod options;
mod paths;
mod props;
mod request;
mod running;
mod sets;
mod shell;
mod size;
mod small;
mod sound;
mod storage;
mod table;
mod translate;
mod unknown;
mod usb;

pub use compare::{Comparison, compare};
pub use option_files::with_option_files;
pub use options::{Conversion, without};
pub use paths::ImportContext;
pub use request::{beyond, request_of};
pub use running::{name_of, running};
pub use shell::{Filled, Script, is_always_set, pasted, read};
pub use translate::{Imported, Part, translate};
pub use unknown::unknown_to_qemu;
