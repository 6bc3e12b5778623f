//! The aliases by which vgapt recognises its own devices in a domain. libvirt keeps aliases that begin with `ua-`.

use crate::model::{PciAddress, UsbId};
use crate::xml::Fragment;

/// The common prefix of all aliases.
pub(crate) const OURS: &str = "ua-vgapt-";
pub(crate) const GPU: &str = "ua-vgapt-gpu-";
/// PCI functions that do not belong to a graphics card.
pub(crate) const PCI: &str = "ua-vgapt-pci-";
/// Root ports for passed PCI functions.
pub(crate) const PORT: &str = "ua-vgapt-port-";
pub(crate) const USB: &str = "ua-vgapt-usb-";
pub(crate) const DISK: &str = "ua-vgapt-disk-";
pub(crate) const CDROM: &str = "ua-vgapt-cdrom-";
pub(crate) const SCSI: &str = "ua-vgapt-scsi";
pub(crate) const MDEV: &str = "ua-vgapt-mdev-";
/// Keyboards and mice, passed as event devices (evdev).
pub(crate) const EVDEV: &str = "ua-vgapt-evdev-";
pub(crate) const SHARE: &str = "ua-vgapt-share-";
/// Not an alias: in QEMU's own options, by which vgapt's are found again.
pub(crate) const OPTIONS: &str = "vgapt-looking-glass";
pub(crate) const SHMEM: &str = "ua-vgapt-shmem-";
/// The emulated graphics adapter of a window.
pub(crate) const VIDEO: &str = "ua-vgapt-video";
/// The input devices of a window, and its clipboard.
pub(crate) const WINDOW: &str = "ua-vgapt-window-";
pub(crate) const SOUND: &str = "ua-vgapt-sound-";
pub(crate) const NETWORK: &str = "ua-vgapt-net-";

/// A PCI address as part of an alias; an alias may contain only letters, digits, `-` and `_`.
pub(crate) fn pci(prefix: &str, address: PciAddress) -> String {
    format!("{prefix}{}", address.to_string().replace([':', '.'], "-"))
}

/// A USB id as part of an alias.
pub(crate) fn usb(id: UsbId) -> String {
    format!("{USB}{}", id.to_string().replace(':', "-"))
}

/// The `<alias>` element of a device.
pub(crate) fn element(alias: &str) -> Fragment {
    Fragment::new("alias").with("name", alias)
}

/// The alias of a device that is not in a domain yet; empty if it has none.
pub(crate) fn of(device: &Fragment) -> &str {
    let alias = device.children().iter().find(|child| child.name() == "alias");
    alias.and_then(|alias| alias.attributes().first()).map_or("", |(_, name)| name)
}
