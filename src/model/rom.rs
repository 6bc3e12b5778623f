//! A card's expansion ROM: which firmware types (BIOS, UEFI) it supports.

use schemars::JsonSchema;
use serde::Serialize;

use super::PciId;

/// The images of an expansion ROM (PCI Firmware Specification 3.3, 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rom {
    /// Bytes before the first image, such as the header that NVIDIA's flash tool adds.
    pub leading: usize,
    pub images: Vec<RomImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RomImage {
    pub id: PciId,
    pub code: RomCode,
    /// Whether its checksum is correct, as a BIOS image requires; `None` for other images.
    pub sum_is_right: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RomCode {
    Bios,
    /// UEFI on x86-64.
    Uefi,
    UefiElsewhere,
    Other,
}

const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The offset of the pointer to the PCI data structure.
const POINTER: usize = 0x18;
/// The unit of an image's length.
const UNIT: usize = 512;
/// The machine type of x86-64 in an EFI image's header (UEFI specification, 14.4.2).
const X86_64: u16 = 0x8664;

impl Rom {
    /// Whether a guest with UEFI firmware can use it.
    pub fn has_uefi(&self) -> bool {
        self.images.iter().any(|image| image.code == RomCode::Uefi)
    }

    /// Reads the bytes of a ROM.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("it is empty".into());
        }
        let leading = bytes.windows(2).enumerate().position(|(at, pair)| pair == SIGNATURE && image(bytes, at).is_some());
        let leading = leading.ok_or("it does not contain a PCI expansion ROM (no image with the signature 55aa and a PCIR structure)")?;
        let (mut at, mut images) = (leading, Vec::new());
        while let Some((found, length, is_last)) = image(bytes, at) {
            images.push(found);
            if is_last || length == 0 {
                break;
            }
            at = at.saturating_add(length);
        }
        Ok(Self { leading, images })
    }
}

/// The image at an offset, its length, and whether it is marked as the last.
fn image(bytes: &[u8], at: usize) -> Option<(RomImage, usize, bool)> {
    let number = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if bytes.get(at..at + 2)? != SIGNATURE {
        return None;
    }
    let data = at + usize::from(number(at + POINTER)?);
    if bytes.get(data..data + 4)? != b"PCIR" {
        return None;
    }
    let length = usize::from(number(data + 0x10)?) * UNIT;
    let code = match bytes.get(data + 0x14)? {
        0 => RomCode::Bios,
        3 if number(at + 0x0a)? == X86_64 => RomCode::Uefi,
        3 => RomCode::UefiElsewhere,
        _ => RomCode::Other,
    };
    let whole = bytes.get(at..at + length).filter(|_| code == RomCode::Bios);
    let sum_is_right = whole.map(|image| image.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0);
    let id = PciId { vendor: number(data + 4)?, device: number(data + 6)? };
    Some((RomImage { id, code, sum_is_right }, length, bytes.get(data + 0x15)? & 0x80 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made_up(code: u8, machine: u16, last: bool) -> Vec<u8> {
        let mut bytes = vec![0_u8; UNIT];
        bytes[..2].copy_from_slice(&SIGNATURE);
        bytes[0x0a..0x0c].copy_from_slice(&machine.to_le_bytes());
        bytes[POINTER] = 0x40;
        bytes[0x40..0x48].copy_from_slice(b"PCIR\xde\x10\x01\x14");
        bytes[0x50] = 1;
        bytes[0x54] = code;
        bytes[0x55] = if last { 0x80 } else { 0 };
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes[UNIT - 1] = sum.wrapping_neg();
        bytes
    }

    #[test]
    fn bios_and_uefi() {
        let rom = Rom::parse(&[made_up(0, 0, false), made_up(3, X86_64, true), made_up(0, 0, true)].concat()).unwrap();
        assert_eq!(rom.images.iter().map(|image| image.code).collect::<Vec<_>>(), [RomCode::Bios, RomCode::Uefi]);
        assert!(rom.has_uefi() && rom.leading == 0);
        assert_eq!((rom.images[0].id.to_string().as_str(), rom.images[0].sum_is_right), ("10de:1401", Some(true)));
        assert!(!Rom::parse(&made_up(0, 0, true)).unwrap().has_uefi());
        assert_eq!(Rom::parse(&made_up(3, 0xaa64, true)).unwrap().images[0].code, RomCode::UefiElsewhere);
    }

    #[test]
    fn a_header_before_it_and_bytes_that_are_wrong() {
        let mut bytes = [b"NVGI\x55\xaa".as_slice(), &[0; 90], &made_up(0, 0, true)].concat();
        assert_eq!(Rom::parse(&bytes).unwrap().leading, 96);
        bytes[96 + 100] ^= 1;
        assert_eq!(Rom::parse(&bytes).unwrap().images[0].sum_is_right, Some(false));
        for nothing in [&[][..], &[0xff; 4096], b"\x55\xaa"] {
            assert!(Rom::parse(nothing).is_err());
        }
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0_usize..90, last: bool) {
            let _ = Rom::parse(&bytes);
            bytes.splice(0..0, made_up(3, X86_64, last));
            bytes[at] ^= 0xff;
            let _ = Rom::parse(&bytes);
        }
    }
}
