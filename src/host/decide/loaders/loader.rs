//! What each boot loader provides.

use super::entry::Entry;
use crate::host::plan::Edits;
use crate::host::text::tokens::ParameterChange;
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
    pub(super) edit: fn(&Host, &Setup, &[ParameterChange]) -> Result<Edits, Finding>,
    /// What it will boot next.
    pub(super) next: fn(&Setup) -> Vec<Entry>,
    /// The file and the text of an entry that boots as before; `off` disables the early binding.
    pub(super) fallback: Fallback,
}

type Fallback = fn(&Setup, &[ParameterChange], off: Option<&str>) -> Option<(String, String)>;

impl Loader {
    /// What it will boot next, according to its files.
    pub fn next_boot(&self, setup: &Setup) -> Vec<Entry> {
        (self.next)(setup)
    }

    pub(in crate::host::decide) fn fallback(
        &self,
        setup: &Setup,
        wants: &[ParameterChange],
        off: Option<&str>,
    ) -> Option<(String, String)> {
        (self.fallback)(setup, wants, off)
    }

    pub(in crate::host::decide) fn edit(&self, host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
        (self.edit)(host, setup, wants)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
