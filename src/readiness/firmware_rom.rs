//! A card's ROM: under UEFI firmware only a card with a UEFI image in it shows a picture before the guest's driver runs.

use super::check::{Check, Group};
use super::prepared::Prepared;
use crate::model::{PciDevice, Rom, RomCode, RomState};
use crate::passthrough::Assessment;

const WHY: &str = "OVMF runs only UEFI images: with a BIOS image alone the screen stays black until the guest's own driver starts";
const CLEAN: &str = "get a clean copy from the card's vendor or dump this very card with GPU-Z, verify it (vgapt check --rom FILE), and set it in the domain: <rom file='…'/>; a guest with a BIOS (SeaBIOS) does not need it";

pub(super) fn check(prepared: &Prepared, card: &Assessment) -> Option<Check> {
    let device = prepared.facts.host.device(card.address)?;
    let check = |seen: String| Check::ok("rom", Group::Cards, format!("{}, ROM", card.address.short()), seen);
    Some(match prepared.facts.observed.roms.get(&card.address) {
        None => check(String::new()).unknown(&format!("{} (rom in sysfs)", prepared.facts.observed.reach.because_closed())).minor(),
        Some(RomState::Disabled) => Check {
            remedy: format!(
                "as root: echo 1 > {0} && cat {0} > card.rom; echo 0 > {0}; then: vgapt check --rom card.rom",
                format_args!("/sys/bus/pci/devices/{}/rom", card.address)
            ),
            why: WHY.to_owned(),
            ..check(String::new()).unknown("it is disabled, and vgapt does not enable a device's ROM to read it").minor()
        },
        Some(RomState::Read(Err(what))) => check(format!("cannot be used: {what}")).care(WHY, CLEAN),
        Some(RomState::Read(Ok(rom))) => of_rom(check, rom, device),
    })
}

fn of_rom(check: impl Fn(String) -> Check, rom: &Rom, device: &PciDevice) -> Check {
    let kinds: Vec<&str> = rom.images.iter().map(|image| kind(image.code)).collect();
    let seen = format!("holds {}", kinds.join(", "));
    let stranger = rom.images.iter().find(|image| image.id.vendor != device.id.vendor);
    if let Some(stranger) = stranger {
        return check(format!("{seen}; it is for {}, not for {}", stranger.id, device.id))
            .care("the ROM of another card does not initialize this one", CLEAN);
    }
    if !rom.has_uefi() {
        return check(format!("{seen}, and nothing for UEFI")).care(WHY, CLEAN);
    }
    if rom.leading > 0 {
        return check(format!("{seen}, after {} bytes that do not belong there", rom.leading)).care(
            "QEMU exposes the file unchanged, so the guest's firmware finds no ROM",
            format!("remove them: tail -c +{} FILE > clean.rom", rom.leading + 1),
        );
    }
    if rom.images.iter().any(|image| image.sum_is_right == Some(false)) {
        return check(format!("{seen}, and the checksum of its BIOS image is wrong"))
            .care("the firmware modified it while running (a shadow copy), or it is truncated", CLEAN);
    }
    check(seen)
}

fn kind(code: RomCode) -> &'static str {
    match code {
        RomCode::Bios => "BIOS",
        RomCode::Uefi => "UEFI",
        RomCode::UefiElsewhere => "UEFI for another architecture",
        RomCode::Other => "something else",
    }
}
