//! The functions that vgapt has set up for early binding: its own file of modprobe, which lists them.

use crate::model::{Finding, PciAddress, PciDevice, PciId, Setup};

/// vgapt's configuration for modprobe.
pub const MODPROBE: &str = "/etc/modprobe.d/vgapt.conf";
/// Marks the lines that list the bound functions; vgapt reads them back from the file.
pub(super) const MARK: &str = "#bound ";
/// Why a file of the binding is removed.
pub(super) const GONE: &str = "no device is bound early any more";

/// A function that is bound early, with the ids that it must still have then, since addresses change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Its address.
    pub address: PciAddress,
    /// Its ids.
    pub id: PciId,
    /// The ids of its board.
    pub subsystem: PciId,
}

/// The functions that vgapt has set up for early binding, from its own file.
pub fn bound(setup: &Setup) -> Vec<Bound> {
    let text = setup.files.text(MODPROBE).unwrap_or_default();
    text.lines().filter_map(bound_by).collect()
}

fn bound_by(line: &str) -> Option<Bound> {
    let mut words = line.strip_prefix(MARK)?.split_whitespace();
    Some(Bound { address: words.next()?.parse().ok()?, id: words.next()?.parse().ok()?, subsystem: words.next()?.parse().ok()? })
}

/// A line of vgapt's own file that cannot be parsed: rewriting the file would lose it.
pub(super) fn not_understood(setup: &Setup) -> Option<Finding> {
    let text = setup.files.text(MODPROBE)?;
    let (index, line) = text.lines().enumerate().find(|(_, line)| line.starts_with(MARK) && bound_by(line).is_none())?;
    Some(Finding::error(
        "bound-line",
        format!("{MODPROBE}, line {} cannot be parsed, so its binding would be lost: {line}", index + 1),
        "use the vgapt that wrote it, or remove that line and name the card again",
    ))
}

impl Bound {
    pub(super) fn of(device: &PciDevice) -> Self {
        Self { address: device.address, id: device.id, subsystem: device.subsystem.unwrap_or_default() }
    }

    /// Whether it is still the same device.
    pub fn is_still(&self, device: &PciDevice) -> bool {
        *self == Self::of(device)
    }
}

/// The ids of these functions, without duplicates.
pub(super) fn ids_of(functions: &[Bound]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in functions.iter().map(|bound| bound.id.to_string()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
