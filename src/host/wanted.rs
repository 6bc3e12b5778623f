//! What is wanted of a host.

use std::collections::BTreeSet;

use crate::model::{PciAddress, Size, SmbShare};

/// What is wanted of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The functions that are meant for a guest.
    pub functions: Vec<PciAddress>,
    /// When they are taken from the host.
    pub bind: Bind,
    /// The memory of the guest in huge pages.
    pub hugepages: Option<Hugepages>,
    /// What is done although it speaks against it.
    pub allowed: BTreeSet<Allow>,
    /// A disk that the TPM unlocks may ask for its key.
    pub accept_tpm: bool,
    /// Where the running vgapt lies, for the hook that libvirt runs; `None` in a tree that is not the running system.
    pub program: Option<String>,
    /// Missing packages are installed.
    pub install: bool,
    /// The folders that are shared with guests.
    pub shares: Shares,
}

/// Folders that the host's Samba shares with guests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shares {
    /// The folders.
    pub shares: Vec<SmbShare>,
    /// The network of libvirt's on which the guests are.
    pub network: String,
}

/// When a card is taken from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// At boot, before any other driver: the host never has it.
    #[default]
    Boot,
    /// When the domain starts: until then the host has it.
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
    /// 1 GiB: only at boot.
    Gib1,
}

/// What vgapt refuses unless it is allowed by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// The host is left without a display.
    OnlyDisplay,
    /// A controller goes whose disk is mounted or in use.
    DiskInUse,
    /// The network card of the default route goes.
    DefaultRoute,
    /// The last keyboard goes.
    LastKeyboard,
    /// A group goes in which the host uses other devices.
    BlockedGroup,
    /// A part of the chipset or the processor goes that no guest needs.
    HostFunction,
}

impl Allow {
    /// Each one.
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
}
