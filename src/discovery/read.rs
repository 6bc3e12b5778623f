//! Reads a host from its file tree.

use super::scope::Scope;
use super::{devices, iommufd, kvmfr, platform};
use crate::model::Host;
use crate::root::Root;

pub fn read(root: &Root, scope: Scope) -> Host {
    let (pci, unknown) = devices::pci(root, scope);
    let mut host = Host { pci, unknown, cpu: platform::processor(root), ..Host::default() };
    host.platform = platform::platform(root, scope, &host);
    devices::name(root, &mut host.pci, scope);
    if scope != Scope::Cards {
        host.usb = devices::usb(root);
        host.memory = platform::memory(root);
        host.topology.online = platform::online(root);
    }
    if scope == Scope::All {
        host.topology = platform::topology(root);
        host.cpu = platform::as_kernel_uses_it(root, host.cpu);
        host.kvmfr = kvmfr::read(root, host.platform.kernel.as_deref());
        host.iommufd = iommufd::read(root, &host.pci, host.platform.kernel.as_deref());
    }
    host
}
