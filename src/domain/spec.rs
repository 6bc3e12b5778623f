//! What a definition writes into a domain. `None` leaves a thing unchanged.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::record::Record;
use super::request::extras::{DiskCache, DiskDiscard};
use crate::model::{Firmware, PciAddress, Size, UsbId};
use crate::topology::{GuestTopology, Pinning};

/// What is written into a domain: the edits, the record, and what the checks have to know of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// All edits, in their order.
    pub(crate) edits: Vec<Edit>,
    /// The new record; `None` removes it.
    pub record: Option<Record>,
    pub(crate) memory: Option<Size>,
    pub(crate) cpus: Option<Processors>,
    /// Whether the topology that the guest sees is another than the pins would have, and stays.
    pub(crate) keeps_topology: bool,
    /// Their pinning.
    pub(crate) placed: Option<Pinning>,
    /// Whether to add or remove huge pages.
    pub(crate) hugepages: Option<bool>,
    pub(crate) firmware: Option<Firmware>,
    /// The graphics cards, each on one guest slot; vgapt's other cards are removed.
    pub(crate) cards: Option<Vec<Slot>>,
    /// The other PCI functions; vgapt's functions not listed here are removed.
    pub(crate) functions: Option<Vec<Slot>>,
    /// Those of these functions that are not managed `<hostdev>`s.
    pub(crate) ways: BTreeMap<PciAddress, Way>,
    /// The USB devices; vgapt's devices not listed here are removed.
    pub(crate) usb: Option<Vec<UsbId>>,
    /// The disks; vgapt's further disks are removed.
    pub(crate) disks: Option<Vec<Disk>>,
    /// The CD drives to add, change or remove.
    pub(crate) cdroms: Vec<Cdrom>,
    /// The firmware file of a card's function; `None` removes it.
    pub(crate) rom: Option<(PciAddress, Option<String>)>,
}

impl Spec {
    /// All passed functions that it sets.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        [&self.cards, &self.functions].into_iter().flatten().flatten()
    }
}

/// How a function is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// As an `<interface>`, with what is to be set: only then libvirt sets MAC address and VLAN.
    pub(crate) network: Option<NetworkCard>,
    /// Whether libvirt binds it to a driver and back.
    pub(crate) managed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkCard {
    /// `None`: libvirt chooses one when the domain is defined, and it stays.
    pub(crate) mac: Option<String>,
    pub(crate) vlan: Option<u16>,
}

/// PCI functions that share one guest slot, in the order of the function numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) functions: Vec<PciAddress>,
    /// Where the card's own firmware expects it in the guest: bus and slot.
    pub(crate) place: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) path: String,
    pub(crate) is_block_device: bool,
    /// Whether the guest is to see sectors of 4096 bytes.
    pub(crate) has_large_sectors: bool,
    pub(crate) format: String,
    /// Whether the user or the domain states the format; else it is derived from name and content.
    pub(crate) is_stated: bool,
    pub(crate) cache: DiskCache,
    pub(crate) discard: DiskDiscard,
    pub(crate) detect_zeroes: bool,
}

/// One of vgapt's CD drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cdrom {
    /// The last part of its alias.
    pub(crate) alias: &'static str,
    /// The preferred unit on the SATA controller: QEMU calls unit 1 `ide.1`.
    pub(crate) unit: u32,
    /// The image; `None` removes the drive.
    pub(crate) image: Option<String>,
    /// Whether that is a block device, such as a drive of the host.
    pub(crate) is_block_device: bool,
}

/// The vCPUs of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processors {
    pub(crate) count: u32,
    /// How the guest sees them.
    pub(crate) guest: GuestTopology,
}
