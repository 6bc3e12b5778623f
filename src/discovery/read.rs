//! Reads a host from its file tree.

use super::scope::Scope;
use super::{devices, iommufd, kvmfr, names, platform};
use crate::model::Host;
use crate::root::Root;

pub fn read(root: &Root, scope: Scope) -> Host {
    let (pci, unknown) = devices::pci(root, scope);
    let mut host = Host { pci, unknown, cpu: platform::processor(root), ..Host::default() };
    if scope == Scope::NextStep {
        devices::of_cards(root, &mut host);
    }
    host.platform = platform::platform(root, scope, &host);
    names::name(root, &mut host, scope);
    if scope != Scope::Cards {
        host.usb = devices::usb(root);
        host.memory = platform::memory(root);
        host.topology.online = platform::online(root);
    }
    if matches!(scope, Scope::NextStep | Scope::All) {
        host.topology = if scope == Scope::All { platform::topology(root) } else { platform::isolation(root) };
        host.cpu = platform::as_kernel_uses_it(root, host.cpu);
        host.kvmfr = kvmfr::read(root, host.platform.kernel.as_deref());
        host.iommufd = iommufd::read(root, &host.pci, host.platform.kernel.as_deref());
    }
    host
}
