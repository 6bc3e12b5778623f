//! What the libvirt at hand can.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What the libvirt at hand can. What it did not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Libvirt {
    /// Its version as it counts: 1000000 × major + 1000 × minor + release.
    pub version: Option<u64>,
    /// The Hyper-V enlightenments that its QEMU knows on this kernel.
    pub enlightenments: Option<BTreeSet<String>>,
    /// The models of a TPM that is emulated, version 2.0.
    pub tpms: Option<BTreeSet<String>>,
}

/// The oldest libvirt that is supported (Debian 12), which is what an unknown one is taken for.
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
