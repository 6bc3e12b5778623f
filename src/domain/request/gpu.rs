//! The value of `--gpu`: an address, or `auto`.

use std::fmt;
use std::str::FromStr;

use crate::model::{PciAddress, serde_as_text};

/// The value of `--gpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuChoice {
    /// The most suitable card, if the choice is clear.
    Auto,
    /// The card with this function.
    At(PciAddress),
}

impl FromStr for GpuChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::At) }
    }
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::At(address) => address.fmt(f),
        }
    }
}

serde_as_text!(GpuChoice);
