//! Writing to a host: the running system, or a directory tree in its place.
//!
//! Only here a path of the host becomes a file that is written, and only here it is decided whether a command is run.

mod apart;
pub(crate) mod files;
mod folder;
mod owner;
mod socket;
mod tree;

pub use apart::apart;
pub(crate) use folder::Folder;
pub(crate) use owner::{own, own_folder};
pub use tree::{Lock, Target};
