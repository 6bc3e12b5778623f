//! Known problems of families of graphics cards: one line each, with the source.

use crate::model::vendor::{AMD_GRAPHICS, INTEL, NVIDIA};
use crate::model::{CardKind, PciId};

/// A family of cards with a known problem.
pub(super) struct Family {
    pub name: &'static str,
    vendor: u16,
    /// Device ids, first and last of each range; empty: all cards of the vendor that are of this kind.
    ids: &'static [(u16, u16)],
    kind: CardKind,
    pub fault: Fault,
}

/// What is known of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not recover from a reset; the module vendor-reset helps.
    ResetNeedsModule,
    /// It often does not recover from a reset; suspending the host in between helps.
    ResetNeedsSuspend,
    /// It does not recover from a reset on some boards, and does on others.
    ResetVaries,
    /// It often does not recover from a reset; only powering the host off helps.
    ResetNeedsPowerOff,
    /// Its ROM is in the firmware of the board, and its reset is unreliable.
    RomInFirmware,
    /// Its driver needs the firmware's OpRegion, and its ROM expects it at 00:02.0 of the guest.
    NeedsOpRegion,
}

const fn family(name: &'static str, vendor: u16, ids: &'static [(u16, u16)], kind: CardKind, fault: Fault) -> Family {
    Family { name, vendor, ids, kind, fault }
}

/// All known families. The first match counts.
#[rustfmt::skip]
const FAMILIES: [Family; 11] = [
    // gnif/vendor-reset, src/device-db.h
    family("Polaris", AMD_GRAPHICS, &[(0x67c0, 0x67df), (0x67e0, 0x67ff), (0x6980, 0x699f), (0x6fdf, 0x6fdf)], CardKind::Discrete, Fault::ResetNeedsModule),
    family("Vega 10", AMD_GRAPHICS, &[(0x6860, 0x687f)], CardKind::Discrete, Fault::ResetNeedsModule),
    family("Vega 20", AMD_GRAPHICS, &[(0x66a0, 0x66af)], CardKind::Discrete, Fault::ResetNeedsModule),
    family("Navi 1x", AMD_GRAPHICS, &[(0x7310, 0x731f), (0x7340, 0x734f), (0x7360, 0x7362)], CardKind::Discrete, Fault::ResetNeedsModule),
    // gnif/vendor-reset#65 (RX 6900 XT), #41 and #101 (RX 6600 XT); #35, where its author finds none; ids from pci.ids (Navi 21 to 24)
    family("Navi 2x", AMD_GRAPHICS, &[(0x73a0, 0x73ff), (0x7420, 0x743f)], CardKind::Discrete, Fault::ResetVaries),
    // gnif/vendor-reset#97 (RX 7800 XT), #65 (RX 7900 XT); ids from pci.ids (Navi 31 to 33)
    family("Navi 3x", AMD_GRAPHICS, &[(0x7440, 0x749f)], CardKind::Discrete, Fault::ResetVaries),
    // urbanyl/GPU-Passthrough-for-KVM-QEMU-on-Linux#4, gnif/vendor-reset#99; ids from pci.ids (Navi 48, Navi 44)
    family("Navi 4x", AMD_GRAPHICS, &[(0x7550, 0x755f), (0x7590, 0x759f)], CardKind::Discrete, Fault::ResetNeedsSuspend),
    // NVIDIA/open-gpu-kernel-modules#853; quirk_no_flr of Linux for 10de:2b85, 2b87, 2b8c
    family("Blackwell", NVIDIA, &[(0x2b80, 0x2fff)], CardKind::Discrete, Fault::ResetNeedsPowerOff),
    // Uhh-IDontKnow/Proxmox_AMD_AI_Max_395_Radeon_8060s_GPU_Passthrough#3; id from pci.ids
    family("Strix Halo graphics", AMD_GRAPHICS, &[(0x1586, 0x1586)], CardKind::Integrated, Fault::RomInFirmware),
    // isc30/ryzen-gpu-passthrough-proxmox: the ROM is in the ACPI table VFCT; gnif/vendor-reset, README, for the reset
    family("AMD integrated graphics", AMD_GRAPHICS, &[], CardKind::Integrated, Fault::RomInFirmware),
    // QEMU, docs/igd-assign.txt
    family("Intel integrated graphics", INTEL, &[], CardKind::Integrated, Fault::NeedsOpRegion),
];

/// Makers as pci.ids calls them, which is all that it says of a card that is newer than it.
const MAKERS: [&str; 3] = ["NVIDIA Corporation", "Advanced Micro Devices, Inc. [AMD/ATI]", "Intel Corporation"];

/// A card's name; its family's, where only its maker is known.
pub(super) fn named(name: Option<&str>, id: PciId, kind: CardKind) -> Option<String> {
    let name = name?;
    let family = of(id, kind).filter(|family| !family.ids.is_empty() && MAKERS.contains(&name));
    Some(family.map_or_else(|| name.to_owned(), |family| format!("{name} {}", family.name)))
}

pub(super) fn of(id: PciId, kind: CardKind) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| {
        let has_id = family.ids.is_empty() || family.ids.iter().any(|(first, last)| (*first..=*last).contains(&id.device));
        family.vendor == id.vendor && family.kind == kind && has_id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_newer_than_the_list_of_names() {
        let named = |name, device| named(name, PciId { vendor: NVIDIA, device }, CardKind::Discrete);
        assert_eq!(named(Some("NVIDIA Corporation"), 0x2c05).as_deref(), Some("NVIDIA Corporation Blackwell"));
        assert_eq!(named(Some("NVIDIA Corporation"), 0x2684).as_deref(), Some("NVIDIA Corporation"));
        assert_eq!(named(Some("NVIDIA Corporation GB203"), 0x2c05).as_deref(), Some("NVIDIA Corporation GB203"));
        assert_eq!(named(None, 0x2c05), None);
    }

    #[test]
    fn ids_and_kinds() {
        let of = |vendor: u16, device: u16, kind: CardKind| of(PciId { vendor, device }, kind).map(|family| family.fault);
        assert_eq!(of(NVIDIA, 0x2c05, CardKind::Discrete), Some(Fault::ResetNeedsPowerOff));
        assert_eq!(of(NVIDIA, 0x2684, CardKind::Discrete), None);
        assert_eq!(of(AMD_GRAPHICS, 0x67df, CardKind::Discrete), Some(Fault::ResetNeedsModule));
        assert_eq!(of(AMD_GRAPHICS, 0x73bf, CardKind::Discrete), Some(Fault::ResetVaries));
        assert_eq!(of(AMD_GRAPHICS, 0x747e, CardKind::Discrete), Some(Fault::ResetVaries));
        assert_eq!(of(AMD_GRAPHICS, 0x738c, CardKind::Discrete), None);
        assert_eq!(of(AMD_GRAPHICS, 0x1586, CardKind::Integrated), Some(Fault::RomInFirmware));
        assert_eq!(of(INTEL, 0x4690, CardKind::Integrated), Some(Fault::NeedsOpRegion));
        assert_eq!(of(INTEL, 0x56a0, CardKind::Discrete), None);
    }
}
