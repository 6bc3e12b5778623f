//! libvirt: its connection URI, its capabilities, its networks, and the folders that Samba shares there.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The capabilities of libvirt. What is unknown is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Libvirt {
    /// Its version number: 1000000 × major + 1000 × minor + release.
    pub version: Option<u64>,
    /// The Hyper-V enlightenments that its QEMU supports on this kernel.
    pub enlightenments: Option<BTreeSet<String>>,
    /// The models of emulated TPMs, version 2.0.
    pub tpms: Option<BTreeSet<String>>,
    /// The kinds of windows that its QEMU was built with: `spice`, `vnc`, …
    pub graphics: Option<BTreeSet<String>>,
    /// Whether its QEMU has iommufd; libvirt reports it from 12.1 on.
    pub iommufd: Option<bool>,
}

/// The oldest supported libvirt (Debian 12), assumed if the version is unknown.
const OLDEST: (u64, u64) = (9, 0);

impl Libvirt {
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        let version = self.version.map_or(OLDEST, |version| (version / 1_000_000, version / 1000 % 1000));
        version >= (major, minor)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// vgapt's default, also for ordinary users: libvirt's default for them is `qemu:///session`, which cannot
    /// pass PCI devices through.
    pub const DEFAULT: &'static str = "qemu:///system";

    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it connects to another machine: it contains a host name.
    pub fn is_remote(&self) -> bool {
        let authority = self.0.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        !authority.is_empty()
    }

    /// Whether it is libvirt's test driver, whose host is fictitious.
    pub fn is_test(&self) -> bool {
        matches!(self.0.split([':', '+']).next(), Some("test"))
    }

    /// Whether it is a user session, which cannot pass PCI devices through.
    pub fn is_session(&self) -> bool {
        let path = self.0.split_once("://").map_or("", |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
        path.split('?').next() == Some("/session")
    }

    /// The `uri_default` of a `libvirt.conf`.
    pub fn default_in(conf: &str) -> Option<Self> {
        let value = conf.lines().find_map(|line| line.trim().strip_prefix("uri_default")?.trim_start().strip_prefix('='))?;
        let plain = value.split('#').next()?.trim().trim_matches(['"', '\'']);
        (!plain.is_empty()).then(|| Self::new(plain))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder to share with guests by Samba.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmbShare {
    /// The folder, an absolute path.
    pub folder: String,
    /// Its name in the guest.
    pub name: String,
    /// Its owner; `None` if the folder does not exist or its owner has no name.
    pub owner: Option<String>,
}

/// A libvirt network on which the host has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualNetwork {
    pub name: String,
    /// The host's interface.
    pub bridge: String,
    pub address: std::net::Ipv4Addr,
    /// The length of the network prefix.
    pub prefix: u8,
}

impl VirtualNetwork {
    /// The subnet: `192.168.122.0/24`.
    pub fn subnet(&self) -> String {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
        format!("{}/{}", std::net::Ipv4Addr::from(u32::from(self.address) & mask), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |number| Libvirt { version: Some(number), ..Libvirt::default() };
        assert!(version(11_003_000).at_least(11, 3) && version(11_003_000).at_least(9, 7) && !version(11_003_000).at_least(11, 10));
        assert!(Libvirt::default().at_least(9, 0) && !Libvirt::default().at_least(9, 3));
    }

    #[test]
    fn kinds() {
        let uri = |text: &str| Uri::new(text);
        assert!(uri("qemu+ssh://root@box/system").is_remote() && uri("qemu+tcp://box:16509/session").is_session());
        assert!(!uri("qemu:///system").is_remote() && !uri("qemu+unix:///system?socket=/x").is_remote());
        assert!(uri("test:///default").is_test() && uri("test+unix:///default").is_test() && !uri("qemu:///system").is_test());
        assert!(uri("qemu:///session?x=1").is_session() && !uri("qemu:///system").is_session() && !uri("nonsense").is_session());
    }

    #[test]
    fn configuration() {
        assert_eq!(
            Uri::default_in("# uri_default = \"x\"\nuri_default = \"qemu+ssh://box/system\" # mine\n").unwrap().as_str(),
            "qemu+ssh://box/system"
        );
        assert_eq!(Uri::default_in(""), None);
    }
}
