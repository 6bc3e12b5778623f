//! The value of `--pci`: a PCI function, and what a virtual function of a network card is to have.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::PciAddress;

/// A PCI function to pass through: `ADDRESS[,mac=MAC][,vlan=ID]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PciChoice {
    /// Its address.
    pub address: PciAddress,
    /// The MAC address, in lower case.
    pub mac: Option<String>,
    /// The VLAN that it is in, which the guest does not see.
    pub vlan: Option<u16>,
}

/// The VLAN ids that are not reserved (IEEE 802.1Q).
const VLANS: std::ops::RangeInclusive<u16> = 1..=4094;

impl From<PciAddress> for PciChoice {
    fn from(address: PciAddress) -> Self {
        Self { address, mac: None, vlan: None }
    }
}

impl FromStr for PciChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mut choice = Self::from(parts.next().unwrap_or_default().parse::<PciAddress>()?);
        for part in parts {
            match part.split_once('=') {
                Some(("mac", mac)) if choice.mac.is_none() => choice.mac = Some(mac_address(mac)?),
                Some(("vlan", vlan)) if choice.vlan.is_none() => choice.vlan = Some(vlan_id(vlan)?),
                Some((word @ ("mac" | "vlan"), _)) => return Err(format!("'{text}' has {word}= twice")),
                _ => return Err(format!("'{part}' is not known: use ADDRESS,mac=52:54:00:12:34:56,vlan=42")),
            }
        }
        Ok(choice)
    }
}

/// A MAC address of one card: the lowest bit of the first byte marks groups.
fn mac_address(text: &str) -> Result<String, String> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2)).collect();
    match bytes.as_deref() {
        Some(bytes @ [first, _, _, _, _, _]) if first & 1 == 0 && bytes.iter().any(|byte| *byte != 0) => Ok(text.to_lowercase()),
        _ => Err(format!("'{text}' is not the MAC address of a card; example: 52:54:00:12:34:56")),
    }
}

fn vlan_id(text: &str) -> Result<u16, String> {
    let id = text.parse().ok().filter(|id| VLANS.contains(id));
    id.ok_or_else(|| format!("'{text}' is not the id of a VLAN: {} to {}", VLANS.start(), VLANS.end()))
}

impl fmt::Display for PciChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if let Some(mac) = &self.mac {
            write!(f, ",mac={mac}")?;
        }
        self.vlan.map_or(Ok(()), |vlan| write!(f, ",vlan={vlan}"))
    }
}

impl From<PciChoice> for String {
    fn from(choice: PciChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for PciChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_network_card_is_to_have() {
        let choice: PciChoice = "06:10.0,vlan=42,mac=52:54:00:AB:cd:ef".parse().unwrap();
        assert_eq!(choice.to_string(), "0000:06:10.0,mac=52:54:00:ab:cd:ef,vlan=42");
        assert_eq!(choice.to_string().parse(), Ok(choice));
        for wrong in ["mac=52:54:00:00:00:01", "06:10.0,mac=01:00:5e:00:00:01", "06:10.0,mac=0:0:0:0:0:1", "06:10.0,mac=00:00:00:00:00:00"]
        {
            assert!(wrong.parse::<PciChoice>().is_err(), "{wrong}");
        }
        for wrong in ["06:10.0,vlan=0", "06:10.0,vlan=4095", "06:10.0,model=x", "06:10.0,"] {
            assert!(wrong.parse::<PciChoice>().is_err(), "{wrong}");
        }
    }
}
