//! From a [`Root`] or libvirt's node devices to a [`Host`]. One file for each corner of sysfs.
//!
//! Everything optional is optional: what is missing or makes no sense is left out, never an error. Where a
//! decision rests on what is left out, it is a [`crate::model::Reading`], which says why it is unknown.

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
mod pci;
mod platform;
mod roms;
mod setup;
mod software;
mod usb;
mod uses;

pub use capture::capture;
pub use files::{files, image_format, lies_on, owner, runs_systemd};
pub use holders::holders;
pub use hook::{daemon, descends_from, other_hooks};
pub use node_devices::from_node_devices;
pub use observed::observe;
pub use roms::roms;
pub use setup::setup;
pub use uses::read_from as uses;

use crate::model::Host;
use crate::root::Root;

/// How much of a machine is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is needed to tell which graphics cards can be passed through.
    Cards,
    /// Also what PCI functions are called, USB devices, memory and the number of processors.
    Devices,
    /// Everything.
    All,
}

/// Reads a machine.
pub fn read(root: &Root, scope: Scope) -> Host {
    let mut host = Host { pci: pci::read(root, scope), cpu: cpu::read(root), ..Host::default() };
    host.platform = platform::read(root, scope, &host);
    names::of_pci(root, &mut host.pci, scope);
    if scope != Scope::Cards {
        host.usb = usb::read(root);
        host.memory = memory::read(root);
        host.topology.online = cpu::online(root);
    }
    host.unknown.extend(pci::unread(root, &host.pci));
    if scope == Scope::All {
        host.topology = cpu::topology(root);
    }
    host
}
