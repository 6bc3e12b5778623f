//! The address of a PCI function: `domain:bus:device.function`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of a PCI function: domain, bus, device ("slot") and function.
///
/// Domains can be wider than 16 bits: Intel VMD creates domains such as `10000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// PCI domain (segment).
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl PciAddress {
    /// Whether both are functions of one slot.
    pub fn same_slot(self, other: Self) -> bool {
        (self.domain, self.bus, self.device) == (other.domain, other.bus, other.device)
    }

    /// Parses the attributes of a libvirt `<address>`; domain and function default to 0.
    pub fn of_attributes<T: AsRef<str>>(text: impl Fn(&str) -> Option<T>) -> Option<Self> {
        let part = |name: &str, otherwise: Option<u32>| text(name).map_or(otherwise, |text| parse_number(text.as_ref()));
        let narrow = |name: &str, otherwise: Option<u32>| u8::try_from(part(name, otherwise)?).ok();
        let (bus, device, function) = (narrow("bus", None)?, narrow("slot", None)?, narrow("function", Some(0))?);
        (device <= 0x1f && function <= 7).then_some(Self { domain: part("domain", Some(0))?, bus, device, function })
    }

    /// The short form: without the domain if that is 0.
    pub fn short(self) -> String {
        let full = self.to_string();
        match full.strip_prefix("0000:") {
            Some(short) => short.to_owned(),
            None => full,
        }
    }

    /// Several addresses in short form, separated by commas.
    pub fn list(addresses: &[Self]) -> String {
        addresses.iter().map(|address| address.short()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl FromStr for PciAddress {
    type Err = String;

    /// Reads `0000:01:00.0`, `01:00.0` and libvirt's `pci_0000_01_00_0`.
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| format!("'{text}' is not a valid PCI address; examples: 01:00.0, 0000:01:00.0"))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let plain;
    let text = match text.strip_prefix("pci_") {
        Some(name) => {
            let (slot, function) = name.rsplit_once('_')?;
            plain = format!("{}.{function}", slot.replace('_', ":"));
            plain.as_str()
        }
        None => text,
    };
    let (slot, function) = text.split_once('.')?;
    let mut parts = slot.rsplit(':');
    let device = hex(parts.next()?, 2)?;
    let bus = hex(parts.next()?, 2)?;
    let domain = parts.next().map_or(Some(0), |domain| hex(domain, 8))?;
    let function = hex(function, 1)?;
    if parts.next().is_some() || device > 0x1f || function > 7 {
        return None;
    }
    Some(PciAddress { domain, bus: u8::try_from(bus).ok()?, device: u8::try_from(device).ok()?, function: u8::try_from(function).ok()? })
}

/// A number as libvirt and QEMU write it: decimal, or hexadecimal with `0x`.
pub fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A hexadecimal number of at most `width` digits and nothing else (no sign, no `0x`).
fn hex(digits: &str, width: usize) -> Option<u32> {
    let valid = !digits.is_empty() && digits.len() <= width && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u32::from_str_radix(digits, 16).ok())?
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling() {
        let address: PciAddress = "0000:0a:1f.7".parse().unwrap();
        assert_eq!(address, "0a:1f.7".parse().unwrap());
        assert_eq!(address, "pci_0000_0a_1f_7".parse().unwrap());
        assert_eq!(address.short(), "0a:1f.7");
        assert_eq!("10000:e1:00.0".parse::<PciAddress>().unwrap().to_string(), "10000:e1:00.0");
    }

    #[test]
    fn as_libvirt_writes_it() {
        let of = |words: &str| {
            let text = |name: &str| words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            PciAddress::of_attributes(text).map(|address| address.to_string())
        };
        assert_eq!(of("domain=0x0000 bus=0x0a slot=0x1f function=0x7").as_deref(), Some("0000:0a:1f.7"));
        assert_eq!(of("bus=10 slot=0").as_deref(), Some("0000:0a:00.0"));
        for not_one in
            ["bus=1", "slot=1", "bus=x slot=0", "bus=0x100 slot=0", "bus=1 slot=0x20", "bus=1 slot=0 function=8", "domain= bus=1 slot=0"]
        {
            assert_eq!(of(not_one), None, "{not_one}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in
            ["", "01:00", "1:2:3:4.0", "01:20.0", "01:00.8", "g1:00.0", "01:00.0 ", "+1:00.0", "pci_", "pci_0", "01:00.0x", "001:00.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?}");
        }
    }
}
