//! A USB device as the kernel shows it.

use serde::Serialize;

use super::{PciAddress, UsbId};

/// A plugged-in USB device (hubs included; root hubs left out).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsbDevice {
    /// Bus number.
    pub bus: u8,
    /// Device number on the bus; changes each time it is plugged in.
    pub device: u8,
    /// The port it is plugged into, as sysfs names it: `1-4.2`.
    pub port: String,
    /// Vendor and product id.
    pub id: UsbId,
    /// The PCI function of the controller that it hangs off.
    pub controller: Option<PciAddress>,
    /// What it calls itself.
    pub name: Option<String>,
    /// The drivers of its interfaces.
    pub drivers: Vec<String>,
}
