//! A USB device as shown by the kernel.

use serde::Serialize;

use super::{PciAddress, UsbId};

/// A plugged-in USB device (including hubs, without root hubs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsbDevice {
    /// Bus number.
    pub bus: u8,
    /// Device number on the bus; changes each time it is plugged in.
    pub device: u8,
    /// The port it is plugged into, as named in sysfs: `1-4.2`.
    pub port: String,
    /// Vendor and product id.
    pub id: UsbId,
    /// The PCI function of its controller.
    pub controller: Option<PciAddress>,
    /// Its name.
    pub name: Option<String>,
    /// The drivers of its interfaces.
    pub drivers: Vec<String>,
}
