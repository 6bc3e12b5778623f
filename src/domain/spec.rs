//! What is to be written into a domain. `None` leaves a thing as it is.

use super::record::Record;
use super::request::extras::DiskCache;
use super::setting::Change;
use crate::model::{Firmware, PciAddress, Size, UsbId};
use crate::topology::{GuestTopology, Pinning};
use crate::xml::Fragment;

/// What is to be written into a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// The domain's name.
    pub name: String,
    /// Keep this UUID (a domain that is made anew under its name).
    pub uuid: Option<String>,
    /// Memory.
    pub memory: Option<Size>,
    /// Processors.
    pub cpus: Option<Processors>,
    /// Where they are.
    pub placed: Option<Pinning>,
    /// Huge pages in, or out.
    pub hugepages: Option<bool>,
    /// QEMU program.
    pub emulator: Option<String>,
    /// UEFI firmware.
    pub firmware: Option<Firmware>,
    /// The graphics cards, each on one guest slot; vgapt's others are taken out.
    pub cards: Option<Vec<Slot>>,
    /// The other PCI functions; vgapt's others are taken out.
    pub functions: Option<Vec<Slot>>,
    /// The USB devices; vgapt's others are taken out.
    pub usb: Option<Vec<UsbId>>,
    /// The disks; vgapt's further ones are taken out.
    pub disks: Option<Vec<Disk>>,
    /// The CDs, each in, or out.
    pub cdroms: Vec<Cdrom>,
    /// Devices of which the alias says all, kind by kind.
    pub owned: Vec<Owned>,
    /// The file with a card's firmware: whose, and which, or none.
    pub rom: Option<(PciAddress, Option<String>)>,
    /// Settings without an alias, group by group.
    pub changes: Vec<Change>,
    /// What is put in the place of something else.
    pub replacements: Vec<Replacement>,
    /// Whether nothing is to be remembered.
    pub forgets: bool,
    /// What is to be remembered.
    pub record: Record,
}

/// PCI functions that go on one guest slot, in the order of its functions.
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
    /// Format of what is in it.
    pub format: String,
    /// Whether the user or the domain states the format; else it is concluded.
    pub is_stated: bool,
    /// What the host does with its data.
    pub cache: DiskCache,
}

impl Disk {
    /// Whether it is a device and not a file.
    pub fn is_block(&self) -> bool {
        self.path.starts_with("/dev/")
    }
}

/// A CD drive of vgapt's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdrom {
    /// What its alias ends in.
    pub alias: &'static str,
    /// The unit on the SATA controller, if it is free: QEMU calls unit 1 `ide.1`.
    pub unit: u32,
    /// The image; `None` takes the drive out.
    pub image: Option<String>,
}

/// The processors of a guest.
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
    /// How their aliases begin.
    pub(crate) prefix: &'static str,
    /// What is to be there.
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

/// A balloon takes memory from a guest; that of a guest with a passed device is all pinned
/// (drivers/vfio: every page is mapped for the device), so that there is none to take.
pub(crate) const BALLOON: &str = "devices/memballoon";

/// What stands in the place of a balloon.
pub(crate) fn no_balloon() -> Fragment {
    Fragment::new("memballoon").with("model", "none")
}

/// What is put in the place of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Where.
    pub(crate) path: String,
    /// The element as it is to be; empty where there is to be none.
    pub(crate) source: String,
}
