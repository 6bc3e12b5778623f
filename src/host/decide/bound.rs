//! The functions that vgapt has set up for early binding: its own file of modprobe, which lists them.

use crate::model::{Card, Finding, Host, PciAddress, PciDevice, PciId, Setup};
use crate::passthrough::{Recorded, has_picture, places};

/// vgapt's configuration for modprobe.
pub const MODPROBE: &str = "/etc/modprobe.d/vgapt.conf";
/// Marks the lines that list the bound functions; vgapt reads them back from the file.
pub(super) const MARK: &str = "#bound ";
/// Starts the line that gives ids to vfio-pci.
pub(super) const IDS: &str = "options vfio-pci ids=";
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
    Bound::from_words(line.strip_prefix(MARK)?)
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

    /// From its address, ids and the ids of its board; what follows is not read.
    pub(super) fn from_words(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self { address: words.next()?.parse().ok()?, id: words.next()?.parse().ok()?, subsystem: words.next()?.parse().ok()? })
    }

    /// Its address, ids and the ids of its board.
    pub(super) fn in_words(self) -> String {
        format!("{} {} {}", self.address, self.id, self.subsystem)
    }

    fn recorded(&self) -> Recorded {
        Recorded { address: self.address, id: Some(self.id), subsystem: Some(self.subsystem) }
    }

    /// Whether it is still the same device.
    pub fn is_still(&self, device: &PciDevice) -> bool {
        *self == Self::of(device)
    }
}

/// Where the device of a binding is now that is not at its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// No device is like it.
    Gone,
    At(PciAddress),
    /// Equal devices, or the host's display, which had the same ids before: vgapt does not guess between them.
    Unclear(Vec<PciAddress>),
}

impl Whereabouts {
    /// Of a function that was set up to be bound.
    pub fn of(bound: &Bound, host: &Host, setup: &Setup) -> Self {
        let all: Vec<Recorded> = self::bound(setup).iter().map(Bound::recorded).collect();
        let places = places(&bound.recorded(), &all, host);
        match places[..] {
            [] => Self::Gone,
            // Ids are given to vfio-pci only where no other device has them, so this one cannot be another.
            [place] if by_ids(setup) || !has_picture(host, place) => Self::At(place),
            _ => Self::Unclear(places),
        }
    }

    /// The option that names it, if it is known where it is.
    pub fn option(&self, host: &Host) -> Option<String> {
        let Self::At(place) = *self else { return None };
        Some(Card::with(host, place).map_or_else(|| format!("--pci {}", place.short()), |card| format!("--gpu {}", card.address.short())))
    }
}

/// The functions that vfio-pci takes although nobody has set them up: vgapt's own file gives it ids, and they have the same ones, as
/// a second card that was added since.
pub fn taken_by_ids(host: &Host, setup: &Setup) -> Vec<PciAddress> {
    let known = bound(setup);
    let is_taken =
        |device: &&PciDevice| known.iter().any(|bound| bound.id == device.id) && !known.iter().any(|bound| bound.address == device.address);
    host.pci.iter().filter(|_| by_ids(setup)).filter(is_taken).map(|device| device.address).collect()
}

/// Whether vgapt's own file gives ids to vfio-pci, which then takes all devices that have them.
fn by_ids(setup: &Setup) -> bool {
    let text = setup.files.text(MODPROBE).unwrap_or_default();
    text.lines().any(|line| line.starts_with(IDS))
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
