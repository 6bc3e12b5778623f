//! The one place from which every path of the host is read: a directory (`/` by default) or a
//! recorded machine. No link in it leads out of it.

mod boot_option;
mod capture;
mod directory;
mod reader;
mod redact;
mod resolve;
mod status;

pub use capture::{Capture, Entry, Kept, Node};
pub use directory::open_beneath;
pub use reader::Root;
pub use status::Status;
