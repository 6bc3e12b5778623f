//! The aliases by which vgapt knows its devices again. libvirt keeps aliases that begin with `ua-`.

use crate::model::{PciAddress, UsbId};
use crate::xml::{Document, Element, Id};

/// What all of them begin with.
pub(super) const OURS: &str = "ua-vgapt-";
/// Graphics cards.
pub(super) const GPU: &str = "ua-vgapt-gpu-";
/// Other PCI functions.
pub(super) const PCI: &str = "ua-vgapt-pci-";
/// Root ports of these.
pub(super) const PORT: &str = "ua-vgapt-port-";
/// USB devices.
pub(super) const USB: &str = "ua-vgapt-usb-";
/// Disks.
pub(super) const DISK: &str = "ua-vgapt-disk-";
/// CD drives.
pub(super) const CDROM: &str = "ua-vgapt-cdrom-";
/// The SCSI controller.
pub(super) const SCSI: &str = "ua-vgapt-scsi";

/// Mediated devices.
pub(super) const MDEV: &str = "ua-vgapt-mdev-";
/// Keyboard and mouse by their event devices.
pub(super) const EVDEV: &str = "ua-vgapt-evdev-";
/// Shared folders.
pub(super) const SHARE: &str = "ua-vgapt-share-";
/// Shared memory.
pub(super) const SHMEM: &str = "ua-vgapt-shmem-";
/// The sound card.
pub(super) const SOUND: &str = "ua-vgapt-sound-";
/// The network card.
pub(super) const NETWORK: &str = "ua-vgapt-net-";

/// A PCI address as part of an alias, in which only letters, digits, `-` and `_` may stand.
pub(super) fn pci(prefix: &str, address: PciAddress) -> String {
    format!("{prefix}{}", address.to_string().replace([':', '.'], "-"))
}

/// A USB id as part of an alias.
pub(super) fn usb(id: UsbId) -> String {
    format!("{USB}{}", id.to_string().replace(':', "-"))
}

/// The alias of a device.
pub(super) fn of(device: Element<'_>) -> Option<String> {
    device.child("alias")?.attribute("name").map(std::borrow::Cow::into_owned)
}

/// The devices whose alias begins so, with what follows.
pub(super) fn with_prefix<'d>(domain: Element<'d>, prefix: &'d str) -> impl Iterator<Item = (Element<'d>, String)> {
    let devices = domain.child("devices").into_iter().flat_map(Element::children);
    devices.filter_map(move |device| Some((device, of(device)?.strip_prefix(prefix)?.to_owned())))
}

/// The device with this alias.
pub(super) fn find(domain: Element<'_>, alias: &str) -> Option<Id> {
    with_prefix(domain, alias).find(|(_, rest)| rest.is_empty()).map(|(device, _)| device.id())
}

/// Takes out the devices whose alias begins so, but those that are to stay by what follows.
pub(super) fn retain(domain: &mut Document, prefix: &str, stays: impl Fn(Element<'_>, &str) -> bool) {
    let surplus: Vec<Id> =
        with_prefix(domain.root(), prefix).filter(|(device, rest)| !stays(*device, rest)).map(|(device, _)| device.id()).collect();
    domain.remove_all(&surplus);
}
