//! What a virtual CPU left the guest for.

use std::fmt;
use std::str::FromStr;

use super::serde_as_text;

/// What an instruction of the guest was about that KVM or QEMU carried out; serialised as text, such as `port 0x608`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitTarget {
    /// A port of an emulated device.
    Port(u64),
    /// A register of the processor, by its number (MSR).
    Register(u64),
    /// An address in the memory of an emulated device.
    Memory(u64),
}

impl fmt::Display for ExitTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number) = match self {
            Self::Port(number) => ("port", number),
            Self::Register(number) => ("register", number),
            Self::Memory(number) => ("memory", number),
        };
        write!(f, "{kind} {number:#x}")
    }
}

impl FromStr for ExitTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(" 0x").and_then(|(kind, number)| Some((kind, u64::from_str_radix(number, 16).ok()?)));
        match parts {
            Some(("port", number)) => Ok(Self::Port(number)),
            Some(("register", number)) => Ok(Self::Register(number)),
            Some(("memory", number)) => Ok(Self::Memory(number)),
            _ => Err(format!("'{text}' is not what an exit is for; for example: port 0x608")),
        }
    }
}

serde_as_text!(ExitTarget);
