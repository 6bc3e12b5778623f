//! What each boot loader provides, and what it boots.

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::plan::Edits;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

/// How vgapt handles a boot loader.
pub struct Loader {
    /// Which one it is.
    pub kind: BootLoader,
    /// What people call it.
    pub name: &'static str,
    /// Whether its configuration exists.
    pub(super) configured: fn(&Setup) -> bool,
    /// How kernel parameters are set.
    pub(in crate::host::decide) edit: fn(&Host, &Setup, &[ParameterChange]) -> Result<Edits, Finding>,
    /// What it will boot next.
    pub(super) next: fn(&Setup) -> Vec<Entry>,
    /// The files, or beginnings of their paths, from which its tool generates all entries anew; none, if entries are kept as they are.
    pub(in crate::host::decide) made_from: fn(&Setup) -> Vec<&'static str>,
    /// The initramfs images that its entries load, where a file names them.
    pub(super) images: fn(&Setup) -> Vec<String>,
    /// The path and the text of an entry that boots as before.
    pub(in crate::host::decide) fallback: Fallback,
}

/// The last argument is the parameter that disables the early binding.
type Fallback = fn(&Host, &Setup, &[ParameterChange], Option<&str>) -> Option<(String, String)>;

impl Loader {
    /// What it will boot next, according to its files.
    pub fn next_boot(&self, setup: &Setup) -> Vec<Entry> {
        (self.next)(setup)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Something that can be booted next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Entry {
    /// Where it stands.
    pub source: String,
    /// The kernel's command line.
    pub cmdline: String,
    /// The file of the kernel that it boots, where it names one.
    #[serde(skip)]
    pub kernel: Option<String>,
    /// The file from which it is copied as it is, where somebody wrote it there by hand: no default reaches it.
    #[serde(skip)]
    pub by_hand: Option<String>,
    /// What the menu's default can call it, where the menu names more than files: its title, its id, its number.
    #[serde(skip)]
    pub names: Vec<String>,
}

/// The file name of the entry that boots as before vgapt. In the sort orders of GRUB and systemd-boot a capital letter
/// sorts before the digits and small letters of a machine id, and what sorts first is listed last: it never becomes the
/// default.
pub(super) const FALLBACK: &str = "Z-vgapt-without.conf";

/// Words on the command line of a rescue boot.
const RESCUE: [&str; 6] = ["single", "recovery", "rescue", "emergency", "systemd.unit=rescue.target", "systemd.unit=emergency.target"];

/// Whether a command line is for a rescue boot.
pub(in crate::host::decide) fn is_rescue<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    words.any(|word| RESCUE.contains(&word))
}

impl Entry {
    /// Whether it would boot without what is needed; a rescue or fallback entry does so on purpose.
    pub(super) fn lacks(&self, wants: &[ParameterChange]) -> bool {
        !self.is_recovery() && self.by_hand.is_none() && !tokens::has_all(&self.cmdline, wants)
    }

    /// Whether it is written by hand, and would boot without what is needed.
    pub(super) fn lacks_by_hand(&self, wants: &[ParameterChange]) -> bool {
        !self.is_recovery() && self.by_hand.is_some() && !tokens::has_all(&self.cmdline, wants)
    }

    /// Whether it is a rescue or fallback entry, which has fewer parameters on purpose.
    pub fn is_recovery(&self) -> bool {
        is_rescue(self.cmdline.split_whitespace()) || self.source.contains("rescue") || self.source.contains(FALLBACK)
    }
}
