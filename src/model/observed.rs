//! What a host shows of its present state, beside its devices and its configuration.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{HookSeen, PciAddress, Rom, Size};

/// The present state of a host, as far as it could be read; what could not is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// How far what is read reaches.
    pub reach: Reach,
    /// `/dev/kvm`.
    pub kvm: Option<KvmNode>,
    /// The IOMMUs that the kernel uses.
    pub iommus: Vec<IommuUnit>,
    /// The kinds of interrupt controllers in `/proc/interrupts`.
    pub interrupt_chips: Vec<String>,
    /// Whether VFIO was told to go on without interrupt remapping.
    pub unsafe_interrupts: Option<bool>,
    /// How each installed kernel has vfio-pci, by its release.
    pub vfio: BTreeMap<String, ModuleState>,
    /// Whether a function may be switched off wholly.
    pub d3cold_allowed: BTreeMap<PciAddress, bool>,
    /// The expansion ROMs of the graphics cards.
    pub roms: BTreeMap<PciAddress, RomState>,
    /// Who has the nodes of the cards open.
    pub holders: Option<Holders>,
    /// Free memory of each zone, by the size of its pieces.
    pub free_pieces: Vec<FreePieces>,
    /// libvirt's sockets.
    pub libvirt_sockets: Option<Vec<String>>,
    /// Whether libvirt's driver for QEMU is there.
    pub qemu_driver: Option<bool>,
    /// Discs with the virtio drivers for Windows.
    pub virtio_discs: Option<Vec<String>>,
    /// The lines of the kernel's log that matter.
    pub log: Option<Vec<String>>,
    /// What programs say of their versions.
    pub versions: BTreeMap<String, String>,
    /// What is in the boot images: file names, or why they could not be listed.
    pub images: BTreeMap<String, Result<Vec<String>, String>>,
    /// The folders that defined guests are to share by Samba, as far as their domains can be read.
    pub smb_wanted: Vec<String>,
    /// Why not all of these are known, where they are not.
    pub smb_unknown: Vec<String>,
    /// The addresses at which something listens on Samba's port.
    pub smb_listeners: Option<Vec<std::net::Ipv4Addr>>,
    /// libvirt's hook.
    pub hook: HookSeen,
    /// How much memory a process of the user may lock.
    pub memory_lock: Option<Size>,
}

/// How far what is read reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// The running machine.
    Live {
        /// Whether root reads it.
        root: bool,
    },
    /// The files of a machine that does not run here.
    #[default]
    Tree,
    /// A recorded machine.
    Recorded,
}

impl Reach {
    /// Why something that everybody may read was not to be had.
    pub fn because(self) -> &'static str {
        match self {
            Self::Live { .. } => "this machine does not show it",
            Self::Tree => "this tree does not hold it",
            Self::Recorded => "it was not recorded",
        }
    }

    /// Why something that is closed to all but root was not to be had.
    pub fn because_closed(self) -> &'static str {
        if self == (Self::Live { root: false }) { "only root can read it" } else { self.because() }
    }

    /// Whether it is the running machine.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

/// The node by which QEMU reaches KVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvmNode {
    /// Whether it is there.
    pub there: bool,
    /// Its permission bits.
    pub mode: u32,
    /// Whether the user that QEMU runs as may use it.
    pub qemu_may: Option<bool>,
}

/// One IOMMU that the kernel uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IommuUnit {
    /// The kernel's name of it: `dmar0`, `ivhd0`, `virtio0`.
    pub name: String,
    /// Bits of an address that it can map, where it tells.
    pub width: Option<u32>,
}

/// How a kernel has a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleState {
    /// Part of the kernel.
    BuiltIn,
    /// A module of its own.
    Loadable,
    /// It drives a device now; whether as a part of the kernel is not known.
    Works,
    /// Not at all.
    Missing,
}

/// What is known of an expansion ROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RomState {
    /// It is there, and not switched on, so that it cannot be read.
    Closed,
    /// What it holds, or what is wrong with it.
    Read(Result<Rom, String>),
}

/// Who has nodes of some devices open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// The processes that were seen.
    pub known: Vec<Holder>,
    /// Why there may be more: the open files of a process could not be read.
    pub unknown: Option<String>,
}

/// A process with nodes of a device open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<String>,
}

/// Free memory of one zone: how many pieces of 1, 2, 4, … pages of 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreePieces {
    /// NUMA node.
    pub node: u32,
    /// How many of each size.
    pub counts: Vec<u64>,
}

impl FreePieces {
    /// What is free in pieces of 2 MiB or more.
    pub fn large(&self) -> Size {
        // 2 MiB are 2 to the 9th pages of 4 KiB.
        let pages = self.counts.iter().enumerate().skip(9).map(|(order, count)| count.saturating_mul(1 << order.min(32)));
        Size::from_kib(pages.fold(0, u64::saturating_add).saturating_mul(4))
    }
}
