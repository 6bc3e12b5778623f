//! Devices that have another PCI address now, as all behind a new card may have: where each of them may be. One rule for what a
//! domain has and for what is bound at boot.

use super::dangers::is_only_display;
use crate::model::{Card, Host, PciAddress, PciDevice, PciId};

/// A function as it was when its address was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    pub address: PciAddress,
    /// Its ids and those of its board; `None` where they were not recorded.
    pub id: Option<PciId>,
    pub subsystem: Option<PciId>,
}

impl Recorded {
    /// Whether this is the device that was recorded; what was not recorded is not compared.
    pub fn is_same(&self, device: &PciDevice) -> bool {
        let same_subsystem = self.subsystem.is_none() || device.subsystem.is_none() || self.subsystem == device.subsystem;
        self.id.is_none_or(|id| id == device.id) && same_subsystem
    }

    /// Whether the device is still at its address.
    pub fn is_there(&self, host: &Host) -> bool {
        host.device(self.address).is_some_and(|device| self.is_same(device))
    }
}

/// Where a recorded function that is not at its address may be now: in a slot that has all functions of its slot that are
/// missing, and none that is recorded and in its place. Of several equal cards it is not the one with the host's picture.
pub fn places(function: &Recorded, all: &[Recorded], host: &Host) -> Vec<PciAddress> {
    if function.id.is_none() {
        return Vec::new();
    }
    let is_taken = |address: PciAddress| all.iter().any(|other| other.address == address && other.is_there(host));
    let slot = || all.iter().filter(|other| other.address.same_slot(function.address) && other.id.is_some() && !other.is_there(host));
    let is_in = |other: &Recorded, place: PciAddress| {
        let at = PciAddress { function: other.address.function, ..place };
        !is_taken(at) && host.device(at).is_some_and(|device| other.is_same(device))
    };
    let candidates = host.pci.iter().map(|device| device.address).filter(|place| place.function == function.address.function);
    let places: Vec<PciAddress> = candidates.filter(|place| slot().all(|other| is_in(other, *place))).collect();
    let (with_picture, others): (Vec<PciAddress>, Vec<PciAddress>) = places.iter().partition(|place| has_picture(host, **place));
    if others.is_empty() { with_picture } else { others }
}

/// Whether a function is of the boot display, or of the host's only one.
pub fn has_picture(host: &Host, function: PciAddress) -> bool {
    let Some(card) = Card::with(host, function) else { return false };
    let is_boot_display = host.device(card.address).is_some_and(|device| device.boot_vga == Some(true));
    is_boot_display || is_only_display(host, &card.functions)
}
