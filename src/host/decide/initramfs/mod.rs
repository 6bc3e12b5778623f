//! The tools that make the initramfs, and how to include vfio-pci.
//!
//! A new tool is a new file here, and a line in the list of `choose.rs`.

mod choose;
mod dracut;
mod initramfs_tools;
mod mkinitcpio;
mod tool;

pub use choose::chosen;
pub(super) use choose::{edits, image, unread};
pub(super) use initramfs_tools::MODULES;
pub(super) use mkinitcpio::{hooks, includes, of_presets};
pub(super) use tool::Inclusion;
pub use tool::Tool;
