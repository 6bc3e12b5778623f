//! Listings of a host's devices: by IOMMU group, all PCI functions, USB.

use super::style::{BAD, FAINT, GOOD, STRONG, paint};
use crate::model::{Host, PciDevice};

/// All IOMMU groups with their members, and the functions without a group.
pub fn groups(host: &Host) -> String {
    let mut text = String::new();
    for group in host.groups() {
        text.push_str(&format!("{}\n", paint(STRONG, format_args!("IOMMU group {}", group.number))));
        text.extend(host.devices(&group.devices).map(line));
    }
    let without: Vec<&PciDevice> = host.pci.iter().filter(|device| device.group.is_none()).collect();
    if !without.is_empty() {
        text.push_str(&format!("{}\n", paint(STRONG, "Not in an IOMMU group")));
        text.extend(without.into_iter().map(line));
    }
    text
}

/// All PCI functions.
pub fn functions(host: &Host) -> String {
    host.pci.iter().map(line).collect()
}

/// One function as `lspci -nnk` shows it, on one line.
fn line(device: &PciDevice) -> String {
    let name = device.name.as_deref().unwrap_or("unknown");
    let driver = match device.driver.as_deref() {
        None => String::new(),
        Some(driver) if device.on_vfio() => format!("  {}", paint(GOOD, driver)),
        Some(driver) if device.blocks_its_group() => format!("  {}", paint(BAD, driver)),
        Some(driver) => format!("  {}", paint(FAINT, driver)),
    };
    format!("  {} {} [{}]: {name} [{}]{driver}\n", device.address.short(), device.class.noun(), device.class, device.id)
}

/// All USB devices except root hubs.
pub fn usb(host: &Host) -> String {
    if host.usb.is_empty() {
        return "No USB devices are plugged in, or none could be read.\n".into();
    }
    let line = |device: &crate::model::UsbDevice| {
        let name = device.name.as_deref().unwrap_or("unknown");
        let drivers = if device.drivers.is_empty() { String::new() } else { format!("  {}", paint(FAINT, device.drivers.join(" "))) };
        format!("  {}  bus {:03} device {:03} port {}: {name}{drivers}\n", device.id, device.bus, device.device, device.port)
    };
    host.usb.iter().map(line).collect()
}
