//! The value of `--network`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network connection of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Network {
    /// No network.
    None,
    /// User-mode network of QEMU: outgoing connections, and the host at 10.0.2.2.
    User,
    /// User-mode network of passt: faster, and with the host's own addresses.
    Passt,
    /// A libvirt network, behind the host's address (NAT).
    Nat(String),
    /// A bridge of the host: the guest is a separate machine on the network.
    Bridge(String),
    /// macvtap on an interface of the host: the guest is a separate machine on the network; host and guest cannot reach each other.
    Macvtap(String),
}

/// The network that libvirt's packages define.
const DEFAULT_NETWORK: &str = "default";

impl Network {
    /// Whether its card may have several queues: one that is connected through the kernel (tap, macvtap).
    pub(in crate::domain) fn has_queues(&self) -> bool {
        matches!(self, Self::Nat(_) | Self::Bridge(_) | Self::Macvtap(_))
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('=').unwrap_or((text, ""));
        match (kind, name) {
            ("none", "") => Ok(Self::None),
            ("user", "") => Ok(Self::User),
            ("passt", "") => Ok(Self::Passt),
            ("nat", "") => Ok(Self::Nat(DEFAULT_NETWORK.to_owned())),
            ("nat", name) => Ok(Self::Nat(name.to_owned())),
            ("bridge", name) if !name.is_empty() => Ok(Self::Bridge(name.to_owned())),
            ("macvtap", name) if !name.is_empty() => Ok(Self::Macvtap(name.to_owned())),
            _ => {
                Err(format!("'{text}' is not a valid network: use user, passt, nat, nat=NETWORK, bridge=BRIDGE, macvtap=INTERFACE or none"))
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::User => f.write_str("user"),
            Self::Passt => f.write_str("passt"),
            Self::Nat(name) => write!(f, "nat={name}"),
            Self::Bridge(name) => write!(f, "bridge={name}"),
            Self::Macvtap(name) => write!(f, "macvtap={name}"),
        }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
