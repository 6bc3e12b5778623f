//! What a host has of kvmfr, the kernel module of Looking Glass.

use super::Reading;

/// Where Looking Glass's client and QEMU share a guest's frames.
pub const KVMFR_NODE: &str = "/dev/kvmfr0";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kvmfr {
    /// Whether `/dev/kvmfr0` can be opened by the user that QEMU runs as, if that is known; absent if it is not a character
    /// device.
    pub node: Reading<Option<bool>>,
    /// The size in MiB with which the module was loaded, as far as its configuration tells: the kernel does not show it.
    pub mib: Reading<u64>,
    /// Whether the running kernel has the module.
    pub module: Reading<bool>,
    /// Whether libvirt lets QEMU open the node (`cgroup_device_acl`).
    pub is_allowed: Reading<bool>,
}

impl Default for Kvmfr {
    fn default() -> Self {
        let unread = || "the host's files were not read".to_owned();
        Self {
            node: Reading::Unknown(unread()),
            mib: Reading::Unknown(unread()),
            module: Reading::Unknown(unread()),
            is_allowed: Reading::Unknown(unread()),
        }
    }
}

impl Kvmfr {
    /// The size in MiB that a domain can have of it; `None` if something that QEMU needs is not known to be there. The domain has
    /// the whole memory of the module: QEMU's has to have its size (looking-glass.io, IVSHMEM with the KVMFR module).
    pub fn usable(&self, needed: u64) -> Option<u64> {
        self.mib.as_ref().known().copied().filter(|_| self.missing(needed).is_empty())
    }

    /// What is not known to be there of what a domain with so much memory needs, in words.
    pub fn missing(&self, needed: u64) -> Vec<String> {
        let mut missing = Vec::new();
        match &self.node {
            Reading::Known(Some(true)) => {}
            Reading::Known(Some(false)) => missing.push(format!("the user that QEMU runs as may not open {KVMFR_NODE}")),
            Reading::Known(None) => missing.push(format!("whether the user that QEMU runs as may open {KVMFR_NODE} is unknown")),
            Reading::Absent => missing.push(format!("there is no device {KVMFR_NODE}: the module is not loaded, or without a size")),
            Reading::Unknown(because) => missing.push(because.clone()),
        }
        match &self.mib {
            Reading::Known(mib) if *mib < needed => missing.push(format!("its memory has {mib} MiB, and {needed} MiB are needed")),
            // A region of PCI memory has the size of a power of two.
            Reading::Known(mib) if !mib.is_power_of_two() => missing.push(format!("its memory has {mib} MiB, which is no power of two")),
            Reading::Known(_) => {}
            Reading::Absent => missing.push("no file of modprobe gives it a size (static_size_mb)".to_owned()),
            Reading::Unknown(because) => missing.push(because.clone()),
        }
        match &self.is_allowed {
            Reading::Known(true) => {}
            Reading::Known(false) | Reading::Absent => {
                missing.push(format!("cgroup_device_acl of /etc/libvirt/qemu.conf does not name {KVMFR_NODE}"));
            }
            Reading::Unknown(because) => missing.push(because.clone()),
        }
        missing
    }
}
