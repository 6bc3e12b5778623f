//! The capabilities of libvirt.

use std::collections::BTreeSet;

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
}

/// The oldest supported libvirt (Debian 12), assumed if the version is unknown.
const OLDEST: (u64, u64) = (9, 0);

impl Libvirt {
    /// Whether it has this version or a later one.
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        let version = self.version.map_or(OLDEST, |version| (version / 1_000_000, version / 1000 % 1000));
        version >= (major, minor)
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
}
