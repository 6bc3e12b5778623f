//! What is requested of a host.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::model::{CpuSet, PciAddress, Size, SmbShare};
use crate::passthrough::DangerKind;

/// What is requested of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The functions selected for a guest.
    pub functions: Vec<PciAddress>,
    /// Whether only something is requested that needs no device of the host, and so no IOMMU.
    pub passes_none: bool,
    /// When they are bound to vfio-pci.
    pub bind: Bind,
    /// The memory of the guest in huge pages.
    pub hugepages: Option<Hugepages>,
    /// The CPUs that the host leaves alone from its boot on.
    pub isolate: Option<CpuSet>,
    /// Refusals that are overridden.
    pub allowed: BTreeSet<Allow>,
    /// Whether a disk that the TPM unlocks may ask for its key.
    pub accept_tpm: bool,
    /// The path of the running vgapt, if libvirt's hook would run another program or none; never in a tree that is not the
    /// running system.
    pub program: Option<String>,
    /// What missing packages are installed for; `None`: none are installed.
    pub install: Option<BTreeSet<PackageUse>>,
    /// The folders that are shared with guests.
    pub shares: Shares,
    /// The virtual functions that are made at each boot.
    pub virtual_functions: Vec<VirtualFunctions>,
    /// The memory of Looking Glass in MiB, if its module is to have it.
    pub kvmfr: Option<u64>,
}

/// How many virtual functions (SR-IOV) of a physical function are made; none: those that vgapt makes are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualFunctions {
    /// The physical function.
    pub parent: PciAddress,
    /// How many.
    pub count: u32,
}

impl FromStr for VirtualFunctions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (parent, count) = text.split_once('=').ok_or_else(|| format!("'{text}' has no number: use ADDRESS=N, such as 06:00.0=2"))?;
        let count = count.parse().map_err(|_| format!("'{count}' is not a number of virtual functions"))?;
        Ok(Self { parent: parent.parse()?, count })
    }
}

/// What packages are installed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageUse {
    /// Any guest: it is always included.
    Guest,
    /// A new disk.
    Disk,
    /// A TPM, which Windows 11 requires.
    Tpm,
    /// Folders that are shared by virtiofs.
    Virtiofs,
}

impl PackageUse {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Disk, Self::Tpm, Self::Virtiofs];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Disk => "disk",
            Self::Tpm => "tpm",
            Self::Virtiofs => "virtiofs",
        }
    }
}

/// Folders that the host's Samba shares with guests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shares {
    /// The folders.
    pub shares: Vec<SmbShare>,
    /// The libvirt network of the guests.
    pub network: String,
}

/// When a card is bound to vfio-pci.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// At boot, before any other driver: the host never uses it.
    #[default]
    Boot,
    /// When the domain starts: until then the host uses it.
    Start,
}

/// Huge pages for a guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hugepages {
    /// The memory of the guest.
    pub memory: Size,
    /// The size of a page.
    pub page: PageSize,
}

/// The sizes of huge pages that x86 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageSize {
    /// 2 MiB: can be reserved at any time.
    #[default]
    Mib2,
    /// 1 GiB: can be reserved only at boot.
    Gib1,
}

/// What vgapt refuses unless this name allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// The host is left without a display.
    OnlyDisplay,
    /// The host loses a controller whose disk is mounted or in use.
    DiskInUse,
    /// The host loses the network card of its default route.
    DefaultRoute,
    /// The host loses its last keyboard.
    LastKeyboard,
    /// The group contains other devices that the host uses.
    BlockedGroup,
    /// The host loses a part of the chipset or the processor that no guest needs.
    HostFunction,
}

impl Allow {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OnlyDisplay, Self::DiskInUse, Self::DefaultRoute, Self::LastKeyboard, Self::BlockedGroup, Self::HostFunction];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnlyDisplay => "only-display",
            Self::DiskInUse => "disk-in-use",
            Self::DefaultRoute => "default-route",
            Self::LastKeyboard => "last-keyboard",
            Self::BlockedGroup => "blocked-group",
            Self::HostFunction => "host-function",
        }
    }

    /// Introduces the option that overrides a refusal.
    pub(super) const HINT: &str = "to do it anyway";

    /// The option that allows it.
    pub(super) fn option(self) -> String {
        format!("--allow {}", self.name())
    }
}

/// How `vgapt prepare` treats a danger.
pub(super) enum Handling {
    /// It is only reported.
    Reported,
    /// It is refused, and has to be corrected first.
    Refused,
    /// It is refused unless this name allows it.
    Unless(Allow),
}

impl Handling {
    pub(super) fn of(kind: DangerKind) -> Self {
        match kind {
            DangerKind::OnlyDisplay | DangerKind::OnlyPicture => Self::Unless(Allow::OnlyDisplay),
            DangerKind::DiskInUse | DangerKind::DiskUseUnknown => Self::Unless(Allow::DiskInUse),
            DangerKind::DefaultRoute => Self::Unless(Allow::DefaultRoute),
            DangerKind::LastKeyboard => Self::Unless(Allow::LastKeyboard),
            DangerKind::BlockedGroup => Self::Unless(Allow::BlockedGroup),
            DangerKind::HostFunction => Self::Unless(Allow::HostFunction),
            DangerKind::Console | DangerKind::SharedOut | DangerKind::ReservedMemory => Self::Refused,
            DangerKind::HostBlind | DangerKind::UsesUnknown => Self::Reported,
        }
    }
}
