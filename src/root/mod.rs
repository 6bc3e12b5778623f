//! All paths of the host are read through this module: from a directory (`/` by default) or from a capture.
//! Symbolic links cannot lead out of it.

mod boot_option;
mod capture;
mod capture_text;
mod directory;
mod folder;
mod once;
mod reader;
mod redact;
mod resolve;
mod sorted;
mod status;

pub use capture::{Capture, CapturedPath, Entry, Node};
pub use directory::open_beneath;
pub use folder::Folder;
pub use reader::Root;
pub use sorted::{LineSearch, line_length};
pub use status::Status;
