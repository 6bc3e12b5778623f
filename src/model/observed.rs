//! The present state of a host, besides its devices and its configuration.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::{HookState, PciAddress, Reading, RecordedGroup, Rom, Size};

/// The present state of a host; what could not be read is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// What the host is read from.
    pub reach: HostSource,
    pub kvm: Option<KvmNode>,
    /// The IOMMUs that the kernel uses, by its names for them: `dmar0`, `ivhd0`, `virtio0`.
    pub iommus: Vec<String>,
    /// The kinds of interrupt controllers in `/proc/interrupts`.
    pub interrupt_chips: Vec<String>,
    /// Whether irqbalance runs; `None` if unknown.
    pub irqbalance: Option<bool>,
    /// Whether VFIO is allowed to work without interrupt remapping (`allow_unsafe_interrupts`).
    pub unsafe_interrupts: Option<bool>,
    /// Whether a function may enter the power state D3cold.
    pub d3cold_allowed: BTreeMap<PciAddress, bool>,
    pub roms: BTreeMap<PciAddress, RomState>,
    /// The processes that use the cards.
    pub holders: Option<Holders>,
    /// Free memory of each zone, by block size.
    pub free_blocks: Vec<FreeBlocks>,
    pub libvirt_sockets: Option<Vec<String>>,
    pub libvirt: Option<LibvirtAnswer>,
    pub qemu_driver: Option<bool>,
    /// Discs with the virtio drivers for Windows.
    pub virtio_discs: Option<Vec<String>>,
    /// The lines of the kernel's log that matter.
    pub log: Option<Vec<String>>,
    pub versions: BTreeMap<String, String>,
    /// The contents of the initramfs images: file names, or why they could not be listed.
    pub images: BTreeMap<String, Result<Vec<String>, String>>,
    /// The largest memory for Looking Glass, in MiB, that defined domains are to have, as far as these can be read.
    pub looking_glass: Option<u64>,
    /// The folders to share by Samba with defined domains, as far as these can be read.
    pub smb_wanted: Vec<String>,
    /// Why not all of these folders are known.
    pub smb_unknown: Vec<String>,
    /// The addresses on which a program listens on Samba's port.
    pub smb_listeners: Option<Vec<std::net::Ipv4Addr>>,
    /// The IOMMU groups that prepare and the domains recorded.
    pub recorded_groups: Vec<RecordedGroups>,
    /// Why not all of these are known.
    pub recorded_groups_unknown: Vec<String>,
    pub hook: HookState,
    /// How much memory a process of the user may lock (memlock limit).
    pub memory_lock: Option<Size>,
    pub dkms: Dkms,
    /// The options that modules of the next kernel know, by module, or why these are unknown.
    pub parameters: BTreeMap<String, Result<BTreeSet<String>, String>>,
}

/// The modules that DKMS builds; absent where it is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkms(pub Reading<Vec<DkmsModule>>);

impl Default for Dkms {
    fn default() -> Self {
        Self(Reading::Unknown("the modules of DKMS were not read".to_owned()))
    }
}

/// A module that DKMS builds for each kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkmsModule {
    pub name: String,
    pub version: String,
    /// The kernels that it is built for.
    pub kernels: BTreeSet<String>,
}

/// The IOMMU groups that were recorded at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedGroups {
    /// The functions that are passed through to the domain; none for what prepare recorded.
    pub functions: Vec<PciAddress>,
    pub groups: Vec<RecordedGroup>,
}

/// A domain that PCI functions are passed through to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardUser {
    pub name: String,
    pub state: String,
    pub functions: BTreeSet<PciAddress>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LibvirtAnswer {
    Connected {
        uri: String,
        /// The domains that PCI functions are passed through to.
        domains: Vec<CardUser>,
        unread: Vec<String>,
        abilities: super::Libvirt,
    },
    Failed {
        because: String,
        remedy: String,
    },
}

/// What the host is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostSource {
    Live {
        root: bool,
    },
    /// The files of a machine that is not running.
    #[default]
    Tree,
    /// A capture.
    Recorded,
}

impl HostSource {
    /// Why something that every user can read is not available.
    pub fn because(self) -> &'static str {
        match self {
            Self::Live { .. } => "this machine does not provide it",
            Self::Tree => "this tree does not contain it",
            Self::Recorded => "the capture does not contain it",
        }
    }

    /// Why something that only root can read is not available.
    pub fn because_closed(self) -> &'static str {
        if self == (Self::Live { root: false }) { "only root can read it" } else { self.because() }
    }

    pub fn is_live(self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvmNode {
    pub there: bool,
    pub mode: u32,
    /// Whether the user that QEMU runs as can use it.
    pub qemu_may: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleState {
    BuiltIn,
    Loadable,
    /// It drives a device now; unknown whether it is built in.
    InUse,
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RomState {
    /// It exists, but cannot be read because it is not enabled.
    Disabled,
    /// Its contents, or what is wrong with it.
    Read(Result<Rom, String>),
}

/// The processes that use some devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    pub known: Vec<Holder>,
    /// Why there may be more: the open files of some process could not be read.
    pub unknown: Option<String>,
}

impl Holders {
    /// The known processes with their nodes; `None` if there are none.
    pub fn in_words(&self) -> Option<String> {
        let words = |Holder { pid, name, nodes }: &Holder| format!("{name} (pid {pid}: {})", nodes.join(", "));
        (!self.known.is_empty()).then(|| self.known.iter().map(words).collect::<Vec<_>>().join("; "))
    }
}

/// A process that has nodes of a device open or mapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Holder {
    pub pid: u32,
    pub name: String,
    pub nodes: Vec<String>,
}

/// Free memory of one zone: the number of free blocks of 1, 2, 4, … pages of 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeBlocks {
    pub node: u32,
    pub counts: Vec<u64>,
}

impl FreeBlocks {
    /// The free memory in blocks of 2 MiB or more.
    pub fn large(&self) -> Size {
        // 2 MiB are 2^9 pages of 4 KiB.
        let pages = self.counts.iter().enumerate().skip(9).map(|(order, count)| count.saturating_mul(1 << order.min(32)));
        Size::from_kib(pages.fold(0, u64::saturating_add).saturating_mul(4))
    }
}
