//! Boot loaders: which one booted this host, how kernel parameters are set, what it will boot next.
//!
//! A new boot loader is a new file here, and the lines that CONTRIBUTING.md names ("To add").

mod bls;
mod choose;
mod cmdline;
mod default;
mod dropped;
mod files;
mod grub;
mod grub_cfg;
#[cfg(test)]
mod grub_law;
mod kernelstub;
mod limine;
mod loader;
mod ostree;
mod sdboot_manage;
mod systemd_boot;
mod unified;

pub(super) use bls::NEW_KERNELS;
pub use choose::{Chosen, PARAMETERS, chosen, regenerating};
pub(super) use choose::{booted_images, by_hand};
pub(super) use default::default_entry;
pub use default::{DefaultEntry, next_entry};
pub(super) use dropped::dropped;
pub(in crate::host) use files::syntax_of;
pub(super) use files::{BOOTED, FOLDERS, MADE_FROM, reads};
pub(super) use grub_cfg::own_lines;
pub(super) use loader::is_rescue;
pub use loader::{Entry, Loader};
pub(super) use systemd_boot::{copied, copying, owns_entries};
pub(super) use unified::{unsigned, update_initramfs};
