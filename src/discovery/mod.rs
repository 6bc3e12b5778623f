//! Reads a [`crate::model::Host`] from a [`crate::root::Root`] or from libvirt's node devices. Each part of sysfs has its own
//! file.
//!
//! Missing or invalid optional data is skipped and is never an error. If a decision depends on it, it is a
//! [`crate::model::Reading`], which says why it is unknown.

mod booted;
mod capture;
mod config;
mod cpu;
mod domains;
mod files;
mod firmware;
mod holders;
mod hook;
mod kernel_log;
mod kernels;
mod memory;
mod names;
mod networks;
mod node_devices;
mod observed;
mod ostree;
mod pci;
mod platform;
mod read;
mod roms;
mod scope;
mod setup;
mod software;
mod usb;
mod uses;

pub use capture::capture;
pub use files::{backing_chain, files, image_format, owner, runs_systemd};
pub use holders::holders;
pub use hook::{daemon, descends_from, other_hooks};
pub use node_devices::from_node_devices;
pub use observed::observe;
pub use read::read;
pub use roms::roms;
pub use scope::Scope;
pub use setup::setup;
pub use uses::read_from as uses;
