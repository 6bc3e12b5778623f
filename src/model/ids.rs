//! Ids of devices: PCI vendor and device ids, class codes, USB ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Two 16-bit numbers written as `10de:1401`.
macro_rules! id_pair {
    ($name:ident, $second:ident, $doc:literal, $what:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name {
            /// Vendor id.
            pub vendor: u16,
            /// Id within the vendor's devices.
            pub $second: u16,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:04x}:{:04x}", self.vendor, self.$second)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let parsed = text.split_once(':').and_then(|(vendor, second)| Some(Self { vendor: hex4(vendor)?, $second: hex4(second)? }));
                parsed.ok_or_else(|| format!(concat!("'{}' is not a valid ", $what), text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
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
    /// Intel.
    pub const INTEL: u16 = 0x8086;
    /// NVIDIA.
    pub const NVIDIA: u16 = 0x10de;
}

/// Up to four hexadecimal digits, optionally with the prefix `0x`.
fn hex4(digits: &str) -> Option<u16> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let valid = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u16::from_str_radix(digits, 16).ok())?
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
        write!(f, "{:04x}", self.code())
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
