//! Something that can be booted next.

/// Something that can be booted next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Where it stands.
    pub source: String,
    /// The kernel's command line.
    pub cmdline: String,
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
    /// Whether it is a rescue or fallback entry, which has fewer parameters on purpose.
    pub fn is_recovery(&self) -> bool {
        is_rescue(self.cmdline.split_whitespace()) || self.source.contains("rescue") || self.source.contains(FALLBACK)
    }
}
