//! The tools that make the initramfs, and how to include vfio-pci.
//!
//! A new tool is a new file here and a line in `list.rs`.

mod choose;
mod dracut;
mod edits;
mod initramfs_tools;
mod list;
mod mkinitcpio;
mod tool;

pub use choose::chosen;
pub(super) use choose::image;
pub(super) use edits::edits;
pub(super) use tool::Inclusion;
pub use tool::Tool;
