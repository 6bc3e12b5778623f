//! Converts a shell script that starts QEMU into a libvirt domain. Nothing is run, and nothing is lost
//! silently: each option becomes an element, is passed to QEMU unchanged, or is reported as meaningless.

mod assemble;
mod before;
mod channels;
mod cpu;
mod display;
mod draft;
mod firmware;
mod hostdevs;
mod machine;
mod memory;
mod network;
mod nodes;
mod options;
mod paths;
mod props;
mod request;
mod sets;
mod shell;
mod small;
mod sound;
mod storage;
mod table;
mod translate;
mod usb;

pub use options::Conversion;
pub use paths::ImportContext;
pub use request::request_of;
pub use shell::{Script, read};
pub use translate::{Imported, Part, translate};
