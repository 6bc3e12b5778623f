//! Reads a host from its file tree.

use super::scope::Scope;
use super::{cpu, memory, names, pci, platform, usb};
use crate::model::Host;
use crate::root::Root;

/// Reads a host.
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
