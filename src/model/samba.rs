//! Folders that the host's Samba shares with guests, and the guests' networks.

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
    /// Its name.
    pub name: String,
    /// The host's interface.
    pub bridge: String,
    /// The host's address there.
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
