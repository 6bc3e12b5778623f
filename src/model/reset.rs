//! The ways to reset a card, in the order of the harm that they do.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{PciAddress, PciId};

/// The ladder of a card's resets: each rung is tried only where the one before did not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ladder {
    /// The functions that are reset, the first of them the one that was named.
    pub functions: Vec<ResetFunction>,
    pub rungs: Vec<Rung>,
}

/// A function that is reset: its address and its ids, because another one may be there afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResetFunction {
    pub address: PciAddress,
    pub id: PciId,
    /// The driver that it has again when it was removed and found again.
    pub driver: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rung {
    pub way: ResetWay,
    /// The functions that lose their state, those of the card included. A suspend hits the whole host.
    pub hits: Vec<PciAddress>,
    /// Why it is not tried; `None` if it may be.
    pub left_out: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResetWay {
    /// A method of the kernel's for a function, as `reset_method` names it.
    Method(String),
    /// The reset of all that is behind a bridge.
    Bridge(PciAddress),
    /// The functions are removed and looked for again; in between all that is behind the bridge is reset, where there is one.
    Rescan(Option<PciAddress>),
    /// The host is suspended to RAM, which cuts the power of its slots, and woken by its clock.
    Suspend,
}

impl fmt::Display for ResetWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(name) => write!(f, "the kernel's method {name}"),
            Self::Bridge(bridge) => write!(f, "a reset of the bus behind {}", bridge.short()),
            Self::Rescan(Some(bridge)) => write!(f, "removal, a reset of the bus behind {}, and a rescan", bridge.short()),
            Self::Rescan(None) => f.write_str("removal and a rescan"),
            Self::Suspend => f.write_str("a suspend of the host to RAM"),
        }
    }
}

/// A rung that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tried {
    pub way: ResetWay,
    /// Why it did not help; `None` if all functions answer after it.
    pub failed: Option<String>,
}

impl Ladder {
    /// The rungs that may be tried.
    pub fn usable(&self) -> impl Iterator<Item = &Rung> {
        self.rungs.iter().filter(|rung| rung.left_out.is_none())
    }

    /// Whether a rung hits only the functions that are to be reset.
    pub fn hits_only_own(&self, rung: &Rung) -> bool {
        rung.way != ResetWay::Suspend && rung.hits.iter().all(|hit| self.functions.iter().any(|own| own.address == *hit))
    }
}
