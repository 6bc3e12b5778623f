//! GPU passthrough on Linux, through libvirt: vgapt reads the hardware, decides what can be passed
//! through, and writes a libvirt domain.
//!
//! Data moves one way: [`discovery`] reads a [`root::Root`] into a [`model::Host`], [`passthrough`]
//! and [`domain`] decide without I/O, [`commands`] writes.

pub mod cli;
pub mod commands;
pub mod discovery;
pub mod disk;
pub mod domain;
pub mod domain_xml;
pub mod export;
pub mod failure;
pub mod host;
pub mod hypervisor;
pub mod import;
pub mod interrupt;
pub mod life;
pub mod locks;
pub mod measure;
pub mod model;
pub mod output;
pub mod passthrough;
pub mod problem;
pub mod readiness;
pub mod root;
pub mod run;
pub mod target;
pub mod topology;
pub mod xml;
