//! The value of `--looking-glass`: a resolution, and the shared memory that it needs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The resolution of the guest's screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Screen {
    width: u32,
    height: u32,
    hdr: bool,
}

/// Upper limit of width and height.
const MOST_PIXELS: u32 = 16_384;

impl Screen {
    /// MiB of shared memory: two frames of 4 bytes per pixel (8 with HDR), plus 10 MiB, rounded up to
    /// a power of two (looking-glass.io/docs/B7/ivshmem).
    pub fn mib(self) -> u64 {
        let pixel = if self.hdr { 8 } else { 4 };
        let frames = u64::from(self.width) * u64::from(self.height) * pixel * 2;
        (frames.div_ceil(1 << 20) + 10).next_power_of_two()
    }
}

impl FromStr for Screen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, hdr) = text.strip_suffix("-hdr").map_or((text, false), |size| (size, true));
        let number = |text: &str| text.parse().ok().filter(|pixels| (1..=MOST_PIXELS).contains(pixels));
        let size = size.split_once('x').and_then(|(width, height)| Some((number(width)?, number(height)?)));
        let (width, height) = size.ok_or_else(|| format!("'{text}' is not a valid resolution; examples: 2560x1440, 2560x1440-hdr"))?;
        Ok(Self { width, height, hdr })
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}{}", self.width, self.height, if self.hdr { "-hdr" } else { "" })
    }
}

impl From<Screen> for String {
    fn from(screen: Screen) -> Self {
        screen.to_string()
    }
}

impl TryFrom<String> for Screen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_screen() {
        // The sizes that Looking Glass's documentation gives.
        for (screen, mib) in [("1920x1080", 32), ("1920x1200", 32), ("2560x1440", 64), ("3840x2160", 128), ("3840x2160-hdr", 256)] {
            assert_eq!(screen.parse::<Screen>().unwrap().mib(), mib, "{screen}");
        }
        assert!("x".parse::<Screen>().is_err() && "0x5".parse::<Screen>().is_err() && "99999x1".parse::<Screen>().is_err());
    }
}
