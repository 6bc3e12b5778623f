//! How a guest is on the network.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a guest is on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Network {
    /// Not at all.
    None,
    /// QEMU speaks for it: out, and to the host at 10.0.2.2.
    User,
    /// The program passt speaks for it: faster, and with the host's own addresses.
    Passt,
    /// A network of libvirt's, behind the host's address.
    Nat(String),
    /// On a bridge of the host, as a machine of its own.
    Bridge(String),
    /// On an interface of the host, as a machine of its own; host and guest do not see each other.
    Macvtap(String),
}

/// libvirt's network of every new installation.
const DEFAULT_NETWORK: &str = "default";

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
            _ => Err(format!("'{text}' is no network: user, passt, nat, nat=NETWORK, bridge=BRIDGE, macvtap=INTERFACE or none")),
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
