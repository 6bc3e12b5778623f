//! The PCI functions and USB devices of a host as shown by the kernel, and IOMMU groups.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Class, PciAddress, PciId, Size, UsbId};

/// One PCI function. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct PciDevice {
    pub address: PciAddress,
    pub id: PciId,
    pub class: Class,
    /// Its subsystem id (the vendor of the board).
    pub subsystem: Option<PciId>,
    pub revision: Option<u8>,
    /// The vendor's and the device's name.
    pub name: Option<String>,
    pub driver: Option<String>,
    /// The only driver that may bind to it (`driver_override`).
    pub driver_override: Option<String>,
    /// Layout of the configuration header: 0 endpoint, 1 PCI bridge, 2 `CardBus` bridge.
    pub header_type: Option<u8>,
    /// The bridges above it, the root port first.
    pub ancestors: Vec<PciAddress>,
    /// Its IOMMU group. The number may change between boots.
    pub group: Option<u32>,
    pub numa_node: Option<u32>,
    /// Whether it is the boot display, which the firmware used.
    pub boot_vga: Option<bool>,
    /// Whether it can be unplugged, as a card in an enclosure with Thunderbolt (`removable`; only read of displays).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removable: bool,
    /// Whether a monitor is connected to one of its outputs; `None` where its driver does not say (only read of displays).
    #[serde(skip)]
    pub monitor: Option<bool>,
    /// The kernel's reset methods for it, the preferred first; empty if there are none.
    pub reset_methods: Option<Vec<String>>,
    /// Memory that the firmware reserves for its IOMMU group at fixed addresses (RMRR; type `direct`): the kernel refuses to
    /// give such a group to a guest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reserved_memory: Vec<String>,
    pub bars: Vec<Bar>,
    /// The physical function of which this is a virtual one (SR-IOV).
    pub physical_function: Option<PciAddress>,
    /// The virtual functions that it can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sriov: Option<Sriov>,
}

/// The virtual functions (SR-IOV) that a physical function can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sriov {
    /// How many, as its driver allows (`sriov_totalvfs`).
    pub total: u32,
    /// Whether the host's drivers take new ones (`sriov_drivers_autoprobe`); the kernel's default.
    pub autoprobe: bool,
    /// Its network interface, where that is down: libvirt then cannot set the MAC address and VLAN of a virtual function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<String>,
}

/// What an interface `{word}` that is down ([`Sriov::down`]) means for a virtual function `{number}`, and the remedy.
pub const PARENT_DOWN: &str =
    "libvirt sets the MAC address and VLAN of virtual function {number} through the host's interface {word}, which is down";
pub const PARENT_DOWN_REMEDY: &str = "ip link set {word} up (as root); at each boot: bring it up in the host's network configuration";

/// A memory region of a PCI function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bar {
    pub index: u8,
    pub size: Size,
    /// The possible sizes (resizable BAR); empty if the size is fixed.
    pub resizable: Vec<Size>,
}

/// The functions that the IOMMU cannot isolate from each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IommuGroup {
    /// The kernel's number for it. It may change between boots.
    pub number: u32,
    pub devices: Vec<PciAddress>,
}

impl PciDevice {
    /// A function of which only the address is known.
    pub fn new(address: PciAddress) -> Self {
        Self { address, ..Self::default() }
    }

    /// A bridge to another bus. It never blocks its group and is never passed to a guest.
    pub fn is_bridge(&self) -> bool {
        match self.header_type {
            Some(header) => matches!(header, 1 | 2),
            None => self.class.is_bus_bridge(),
        }
    }

    /// Bound to vfio-pci or one of its vendor variants (`mlx5_vfio_pci`, `nvgrace_gpu_vfio_pci`, …).
    pub fn on_vfio(&self) -> bool {
        self.driver.as_deref().is_some_and(is_vfio)
    }

    /// Bound to a driver that prevents passing the rest of its group to a guest.
    pub fn blocks_its_group(&self) -> bool {
        self.would_block_with(self.driver.as_deref())
    }

    /// Whether it would prevent that with this driver.
    pub fn would_block_with(&self, driver: Option<&str>) -> bool {
        !self.is_bridge() && driver.is_some_and(|driver| !is_vfio(driver) && driver != "pci-stub")
    }

    /// Its name, or its ids if the name is unknown.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} [{}]", self.class.noun(), self.id))
    }

    /// Several functions in a message, each with its class and its driver.
    pub fn list<'a>(devices: impl Iterator<Item = &'a Self>) -> String {
        let one =
            |device: &Self| format!("{} {} on {}", device.address.short(), device.class.noun(), device.driver.as_deref().unwrap_or("none"));
        devices.map(one).collect::<Vec<_>>().join(", ")
    }

    /// The alias by which the kernel requests a driver (`pci_uevent` of drivers/pci/pci-driver.c).
    pub fn modalias(&self) -> String {
        let subsystem = self.subsystem.unwrap_or_default();
        format!(
            "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}",
            self.id.vendor,
            self.id.device,
            subsystem.vendor,
            subsystem.device,
            self.class.base(),
            self.class.code() & 0xff,
            self.class.0 & 0xff
        )
    }

    pub fn largest_bar(&self) -> Option<Size> {
        self.bars.iter().map(|bar| bar.size).max()
    }
}

/// vfio-pci itself, `vfio-pci-…`, `…-vfio-pci` and `…_vfio_pci`, as the kernel's drivers/vfio/pci names them, and NVIDIA's for vGPUs.
fn is_vfio(driver: &str) -> bool {
    let driver = driver.replace('_', "-");
    driver.starts_with("vfio-pci") || driver.ends_with("-vfio-pci") || driver == "nvidia-vgpu-vfio"
}

/// A plugged-in USB device (including hubs, without root hubs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsbDevice {
    pub bus: u8,
    /// Device number on the bus; changes each time it is plugged in.
    pub device: u8,
    /// The port it is plugged into, as named in sysfs: `1-4.2`.
    pub port: String,
    pub id: UsbId,
    pub controller: Option<PciAddress>,
    pub name: Option<String>,
    pub drivers: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vfio_variants() {
        for driver in [
            "vfio-pci",
            "vfio_pci",
            "mlx5_vfio_pci",
            "nvgrace-gpu-vfio-pci",
            "hisi-acc-vfio-pci",
            "vfio-pci-nvgpu",
            "xe-vfio-pci",
            "nvidia-vgpu-vfio",
        ] {
            assert!(is_vfio(driver), "{driver}");
        }
        for driver in ["vfio", "nvidia", "pci-stub", "virtio-pci", "pcieport"] {
            assert!(!is_vfio(driver), "{driver}");
        }
    }

    #[test]
    fn who_blocks() {
        let mut device = PciDevice::new("00:1f.0".parse().unwrap());
        assert!(!device.blocks_its_group());
        device.driver = Some("lpc_ich".into());
        assert!(device.blocks_its_group());
        device.driver = Some("pci-stub".into());
        assert!(!device.blocks_its_group());
        device.driver = Some("shpchp".into());
        device.class = Class(0x06_04_00);
        assert!(!device.blocks_its_group());
    }
}
