//! The changes to write into a domain. `None` leaves an element unchanged.

use super::record::Record;
use super::request::extras::DiskCache;
use super::setting::Change;
use crate::model::{Firmware, PciAddress, Size, UsbId};
use crate::topology::{GuestTopology, Pinning};
use crate::xml::Fragment;

/// The changes to write into a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// The domain's name.
    pub name: String,
    /// Keep this UUID (the domain replaces one of the same name).
    pub uuid: Option<String>,
    /// Memory.
    pub memory: Option<Size>,
    /// Processors.
    pub cpus: Option<Processors>,
    /// Their pinning.
    pub placed: Option<Pinning>,
    /// Whether to add or remove huge pages.
    pub hugepages: Option<bool>,
    /// QEMU program.
    pub emulator: Option<String>,
    /// UEFI firmware.
    pub firmware: Option<Firmware>,
    /// The graphics cards, each on one guest slot; vgapt's other cards are removed.
    pub cards: Option<Vec<Slot>>,
    /// The other PCI functions; vgapt's functions not listed here are removed.
    pub functions: Option<Vec<Slot>>,
    /// The USB devices; vgapt's devices not listed here are removed.
    pub usb: Option<Vec<UsbId>>,
    /// The disks; vgapt's further disks are removed.
    pub disks: Option<Vec<Disk>>,
    /// The CD drives to add, change or remove.
    pub cdroms: Vec<Cdrom>,
    /// Devices that are fully identified by their alias, by kind.
    pub owned: Vec<Owned>,
    /// The firmware file of a card's function; `None` removes it.
    pub rom: Option<(PciAddress, Option<String>)>,
    /// Settings without an alias, by group.
    pub changes: Vec<Change>,
    /// Elements to replace.
    pub replacements: Vec<Replacement>,
    /// Whether the record is removed from the metadata.
    pub removes_record: bool,
    /// The new record.
    pub record: Record,
}

/// PCI functions that share one guest slot, in the order of the function numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Their addresses on the host.
    pub functions: Vec<PciAddress>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Image or block device.
    pub path: String,
    /// Its format.
    pub format: String,
    /// Whether the user or the domain states the format; else it is derived from name and content.
    pub is_stated: bool,
    /// Its cache mode.
    pub cache: DiskCache,
}

impl Disk {
    /// Whether it is a block device.
    pub fn is_block(&self) -> bool {
        self.path.starts_with("/dev/")
    }
}

/// One of vgapt's CD drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdrom {
    /// The last part of its alias.
    pub alias: &'static str,
    /// The preferred unit on the SATA controller: QEMU calls unit 1 `ide.1`.
    pub unit: u32,
    /// The image; `None` removes the drive.
    pub image: Option<String>,
}

/// The vCPUs of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    /// How many.
    pub(crate) count: u32,
    /// How the guest sees them.
    pub(crate) guest: GuestTopology,
}

/// vgapt's devices of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The prefix of their aliases.
    pub(crate) prefix: &'static str,
    /// The devices that the domain should have.
    pub(crate) devices: Vec<Fragment>,
}

impl Owned {
    /// The aliases of its devices; each has one (`named`).
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |device: &Fragment| {
            let alias = device.children().iter().find(|child| child.name() == "alias");
            alias.and_then(|alias| alias.attributes().first()).map(|(_, name)| name.clone()).unwrap_or_default()
        };
        self.devices.iter().map(name).collect()
    }
}

/// A balloon reclaims memory from a guest. It is useless with a passed device, because all memory of the guest
/// is pinned (drivers/vfio: every page is mapped for the device).
pub(crate) const BALLOON: &str = "devices/memballoon";

/// The element that disables the memory balloon.
pub(crate) fn no_balloon() -> Fragment {
    Fragment::new("memballoon").with("model", "none")
}

/// A replacement for an element of the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Where.
    pub(crate) path: String,
    /// The new element; empty if the element is to be removed.
    pub(crate) source: String,
}
