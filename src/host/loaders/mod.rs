//! Boot loaders: which one booted this machine, how it is given kernel parameters, what it will boot next.
//!
//! A new boot loader is a new file here and a line in `ALL`.

mod bls;
mod choose;
mod cmdline;
mod fallback;
mod grub;
mod grub_cfg;
#[cfg(test)]
mod grub_law;
mod grubenv;
mod kernelstub;
mod limine;
mod ostree;
mod systemd_boot;
mod unified;

pub use choose::{Chosen, chosen};
pub(super) use systemd_boot::{copied, copying, owns_entries};
pub(super) use unified::unsigned;

use super::plan::Edits;
use super::tokens::Want;
use crate::model::{BootLoader, Finding, Host, Setup};

/// What vgapt knows of a boot loader.
pub struct Loader {
    /// Which one it is.
    pub kind: BootLoader,
    /// What people call it.
    pub name: &'static str,
    /// Whether its configuration is there.
    configured: fn(&Setup) -> bool,
    /// How it is given parameters.
    edit: fn(&Host, &Setup, &[Want]) -> Result<Edits, Finding>,
    /// What it will boot next.
    next: fn(&Setup) -> Vec<Entry>,
    /// The file and the text of an entry that boots as before; `off` switches the early binding off.
    fallback: Fallback,
}

type Fallback = fn(&Setup, &[Want], off: Option<&str>) -> Option<(String, String)>;

/// Something that can be booted next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Where it stands.
    pub source: String,
    /// The kernel's command line.
    pub cmdline: String,
}

/// All that are known; where several are there at once, the first that is configured owns the others' files.
static ALL: [&Loader; 6] =
    [&ostree::OSTREE, &kernelstub::KERNELSTUB, &unified::UNIFIED, &systemd_boot::SYSTEMD_BOOT, &limine::LIMINE, &grub::GRUB];

impl Loader {
    /// What it will boot next, as far as its files tell.
    pub fn next_boot(&self, setup: &Setup) -> Vec<Entry> {
        (self.next)(setup)
    }

    pub(super) fn fallback(&self, setup: &Setup, wants: &[Want], off: Option<&str>) -> Option<(String, String)> {
        (self.fallback)(setup, wants, off)
    }

    pub(super) fn edit(&self, host: &Host, setup: &Setup, wants: &[Want]) -> Result<Edits, Finding> {
        (self.edit)(host, setup, wants)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn of_kind(kind: BootLoader) -> Option<&'static Loader> {
    ALL.into_iter().find(|loader| loader.kind == kind)
}
