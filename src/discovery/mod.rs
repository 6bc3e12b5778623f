//! Reads a [`crate::model::Host`] from a [`crate::root::Root`] or from libvirt's node devices. Each subject has its own
//! file.
//!
//! Missing or invalid optional data is skipped and is never an error. If a decision depends on it, it is a
//! [`crate::model::Reading`], which says why it is unknown.

mod capture;
mod catalog;
mod config;
mod devices;
mod dkms;
mod exit_reasons;
mod files;
mod firmware;
mod gvariant;
mod hangs;
mod hook;
mod iommufd;
mod kernel_log;
mod kvmfr;
mod libvirt;
mod logs;
mod names;
mod node_devices;
mod observed;
mod ostree;
mod platform;
mod processes;
mod quotas;
mod read;
mod resets;
mod sample;
mod scope;
mod setup;
mod surroundings;
mod uses;

pub use capture::capture;
pub use catalog::{LANGUAGE_VARIABLES, catalog, messages};
pub use config::read as configuration;
pub use exit_reasons::{EXIT_EVENT, TARGET_EVENTS, exit_reasons, exit_targets};
pub use files::{backing_chain, closed_to_qemu, files, home, image_format, owner, runs_systemd};
pub use hangs::{evidence, hangs};
pub use hook::{booted, daemon, descends_from, other_hooks};
pub use kernel_log::read as kernel_log;
pub use libvirt::functions_of_domains;
pub use logs::{daemon_log, domain_log, journal, kernel_log_with_times};
pub use node_devices::from_node_devices;
pub use observed::{holders, nodes, observe, observe_without_log, roms};
pub use processes::qemu_processes;
pub use read::read;
pub use resets::{answers, function_holders, no_suspend, resetting_bridges};
pub use sample::sample;
pub use scope::Scope;
pub use setup::setup;
pub use surroundings::{fixed_interrupts, is_replaced, surroundings};
pub use uses::read_from as uses;
