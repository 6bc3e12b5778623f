//! Identifiers of devices: PCI addresses, vendor and device ids, class codes, USB ids.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::text::{serde_as_text, serialize_as_text};

/// Writes a number in hexadecimal with at least so many digits: as `{:04x}`, which `list` would spend a tenth of its work on.
fn write_hex(f: &mut fmt::Formatter<'_>, number: u32, digits: u32) -> fmt::Result {
    let digits = digits.max(8 - number.leading_zeros() / 4);
    (0..digits).rev().filter_map(|place| char::from_digit(number >> (4 * place) & 0xf, 16)).try_for_each(|digit| f.write_char(digit))
}

/// Two 16-bit numbers written as `10de:1401`.
macro_rules! id_pair {
    ($name:ident, $second:ident, $doc:literal, $what:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name {
            pub vendor: u16,
            /// Id within the vendor's devices.
            pub $second: u16,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, self.vendor.into(), 4)?;
                f.write_char(':')?;
                write_hex(f, self.$second.into(), 4)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let parsed = text.split_once(':').and_then(|(vendor, second)| Some(Self { vendor: hex4(vendor)?, $second: hex4(second)? }));
                parsed.ok_or_else(|| format!(concat!("'{}' is not a valid ", $what), text))
            }
        }

        serde_as_text!($name);
    };
}

id_pair!(PciId, device, "A PCI `vendor:device` pair (also a subsystem's).", "PCI id; example: 10de:1401");
id_pair!(UsbId, product, "A USB `vendor:product` pair.", "USB id; example: 046d:c52b (see `lsusb` or `vgapt list --usb`)");

/// The ids of vendors.
pub mod vendor {
    /// AMD's graphics, formerly ATI's.
    pub const AMD_GRAPHICS: u16 = 0x1002;
    /// AMD's processors and chipsets.
    pub const AMD_PROCESSORS: u16 = 0x1022;
    pub const INTEL: u16 = 0x8086;
    pub const NVIDIA: u16 = 0x10de;
}

/// Up to four hexadecimal digits, optionally with the prefix `0x`.
fn hex4(digits: &str) -> Option<u16> {
    u16::try_from(hex(digits.strip_prefix("0x").unwrap_or(digits), 4)?).ok()
}

/// Whether a text is a UUID in the kernel's notation for mediated devices.
pub fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// A 24-bit PCI class code: base class, subclass, programming interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Class(pub u32);

impl Class {
    /// Base class, such as `0x03` for display controllers.
    pub fn base(self) -> u8 {
        (self.0 >> 16 & 0xff) as u8
    }

    /// Base class and subclass, such as `0x0300`.
    pub fn code(self) -> u16 {
        (self.0 >> 8 & 0xffff) as u16
    }

    /// Any display controller: VGA, XGA, 3D (`0302`), other (`0380`).
    pub fn is_display(self) -> bool {
        self.base() == 0x03
    }

    /// A bridge to another bus: PCI (`0604`), `CardBus` (`0607`), semi-transparent PCI (`0609`).
    pub fn is_bus_bridge(self) -> bool {
        matches!(self.code(), 0x0604 | 0x0607 | 0x0609)
    }

    /// Any bridge (class `06`): bus bridges, the host bridge, the ISA bridge.
    pub fn is_any_bridge(self) -> bool {
        self.code() >> 8 == 0x06
    }

    pub fn is_nvme(self) -> bool {
        self.code() == 0x0108
    }

    /// A short name for the classes of functions that are often found with a graphics card.
    pub fn noun(self) -> &'static str {
        match self.code() {
            0x0300 => "VGA",
            0x0302 => "3D",
            0x0301 | 0x0380 => "display",
            0x0403 => "audio",
            0x0c03 => "USB",
            0x0c80 => "USB-C",
            0x0106 => "SATA",
            0x0104 => "RAID",
            0x0108 => "NVMe",
            0x0200 => "ethernet",
            0x0280 => "network",
            0x0600 => "host bridge",
            0x0601 => "ISA bridge",
            0x0604 | 0x0609 => "PCI bridge",
            0x0607 => "CardBus bridge",
            0x0c05 => "SMBus",
            0x0880 => "system peripheral",
            0x1080 => "encryption",
            0x0806 => "IOMMU",
            _ => "device",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.code().into(), 4)
    }
}

serialize_as_text!(Class);

/// The address of a PCI function: domain, bus, device ("slot") and function.
///
/// Domains can be wider than 16 bits: Intel VMD creates domains such as `10000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u8,
    /// Device number on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl PciAddress {
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

    /// The functions in a path of sysfs, such as `../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0`.
    pub fn in_path(path: &str) -> Vec<Self> {
        path.split('/').filter_map(|name| name.parse().ok()).collect()
    }

    /// Several addresses in short form, separated by commas.
    pub fn list(addresses: &[Self]) -> String {
        addresses.iter().map(|address| address.short()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.domain, 4)?;
        for part in [self.bus, self.device] {
            f.write_char(':')?;
            write_hex(f, part.into(), 2)?;
        }
        f.write_char('.')?;
        write_hex(f, self.function.into(), 1)
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

serde_as_text!(PciAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_numbers_as_the_library_writes_them() {
        for number in [0, 1, 0xf, 0x10, 0xab, 0x1000, 0xffff, 0x1_0000, 0xfff_ffff, 0x1000_0000, u32::MAX] {
            let address = PciAddress { domain: number, bus: 0x0a, device: 0x1f, function: 7 };
            assert_eq!(address.to_string(), format!("{number:04x}:{:02x}:{:02x}.{:x}", 0x0a, 0x1f, 7));
        }
    }

    #[test]
    fn ids_read_and_print() {
        let id: PciId = "10DE:1401".parse().unwrap();
        assert_eq!(id.to_string(), "10de:1401");
        assert_eq!("0x46d:0xc52b".parse::<UsbId>().unwrap().to_string(), "046d:c52b");
        for text in ["", ":", "10de", "10de:", "10de:14011", "10de:xyz"] {
            assert!(text.parse::<PciId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn class_codes() {
        let class = Class(0x03_00_00);
        assert!(class.is_display());
        assert_eq!(class.to_string(), "0300");
        assert!(Class(0x06_04_01).is_bus_bridge());
    }

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
