//! PCI functions: `/sys/bus/pci/devices`, and their groups.

use super::scope::Scope;
use crate::model::{Bar, Class, PciAddress, PciDevice, PciId, Size};
use crate::root::Root;

const DEVICES: &str = "/sys/bus/pci/devices";
const GROUPS: &str = "/sys/kernel/iommu_groups";

/// The base address registers of an endpoint; the lines after them in `resource` are the ROM and bridge windows.
const BARS: usize = 6;
/// `IORESOURCE_MEM` of the kernel's ioport.h: a region in memory, not in I/O ports.
const IORESOURCE_MEM: u64 = 0x200;
/// The offset of the header type in the configuration space.
const HEADER_TYPE: usize = 0x0e;

pub(super) fn read(root: &Root, scope: Scope) -> Vec<PciDevice> {
    let mut devices: Vec<PciDevice> =
        root.names(DEVICES).iter().filter_map(|name| name.parse().ok()).map(|address| read_device(root, address, scope)).collect();
    devices.sort_by_key(|device| device.address);
    if devices.iter().all(|device| device.group.is_none()) {
        groups_by_listing(root, &mut devices);
    }
    devices
}

/// What could not be read of the functions: a driver that could not be read is not a missing driver.
pub(super) fn unread(root: &Root, devices: &[PciDevice]) -> Vec<String> {
    let mut unread: Vec<String> = root.entries(DEVICES).unknown().map(str::to_owned).into_iter().collect();
    let of_device = |device: &PciDevice| root.reading(&format!("{DEVICES}/{}/uevent", device.address)).unknown().map(str::to_owned);
    unread.extend(devices.iter().filter(|device| device.driver.is_none()).find_map(of_device));
    // The listing of the groups is needed only if no function has an `iommu_group` link.
    if devices.iter().all(|device| device.group.is_none()) {
        unread.extend(root.entries(GROUPS).unknown().map(str::to_owned));
    }
    unread
}

fn read_device(root: &Root, address: PciAddress, scope: Scope) -> PciDevice {
    let home = format!("{DEVICES}/{address}");
    let mut device = PciDevice::new(address);
    identify(root, &home, &mut device);
    device.group = root.link_name(&format!("{home}/iommu_group")).and_then(|name| name.parse().ok());
    // Read for every class: unbinding a physical function removes its virtual functions.
    device.physical_function = root.link_name(&format!("{home}/physfn")).and_then(|name| name.parse().ok());
    // The bridges above display and audio functions decide which functions belong to one card.
    if scope == Scope::All || matches!(device.class.base(), 0x03 | 0x04) {
        device.ancestors = root.link(&home).map(|path| ancestors(&path)).unwrap_or_default();
    }
    if scope == Scope::All || device.class.is_display() {
        details(root, &home, &mut device);
    }
    device
}

/// Ids, class and driver: `uevent` has all of them in one read; single attributes are the fallback.
fn identify(root: &Root, home: &str, device: &mut PciDevice) {
    let uevent = root.attribute(&format!("{home}/uevent")).unwrap_or_default();
    let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim);
    let number = |text: Option<&str>| text.and_then(|text| u32::from_str_radix(text, 16).ok());
    let id = value("PCI_ID").and_then(|id| id.parse().ok());
    let class = number(value("PCI_CLASS"));
    device.subsystem = value("PCI_SUBSYS_ID").and_then(|id| id.parse().ok()).filter(|id| *id != PciId::default());
    device.driver = value("DRIVER").map(str::to_owned);
    if let (Some(id), Some(class)) = (id, class) {
        device.id = id;
        device.class = Class(class);
        return;
    }
    let hex = |name: &str| {
        let text = root.attribute(&format!("{home}/{name}"))?;
        u32::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok()
    };
    let pair =
        |vendor: &str, device: &str| Some(PciId { vendor: u16::try_from(hex(vendor)?).ok()?, device: u16::try_from(hex(device)?).ok()? });
    device.id = id.or_else(|| pair("vendor", "device")).unwrap_or_default();
    device.class = Class(class.or_else(|| hex("class")).unwrap_or_default());
    device.subsystem = device.subsystem.or_else(|| pair("subsystem_vendor", "subsystem_device")).filter(|id| *id != PciId::default());
    device.driver = device.driver.take().or_else(|| root.link_name(&format!("{home}/driver")));
}

fn details(root: &Root, home: &str, device: &mut PciDevice) {
    let attribute = |name: &str| root.attribute(&format!("{home}/{name}"));
    device.revision = attribute("revision").and_then(|text| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    device.driver_override = attribute("driver_override").filter(|name| name != "(null)");
    device.header_type =
        root.first_bytes(&format!("{home}/config"), 64).ok().and_then(|config| config.get(HEADER_TYPE).map(|byte| byte & 0x7f));
    // -1 means that the firmware does not specify a node.
    device.numa_node = attribute("numa_node").and_then(|text| text.parse().ok());
    if device.class.is_display() {
        device.boot_vga = attribute("boot_vga").map(|text| text == "1");
    }
    device.reset_methods = attribute("reset_method").map(|text| text.split_ascii_whitespace().map(str::to_owned).collect());
    if let Some(resource) = attribute("resource") {
        device.bars = bars(&resource, |index| attribute(&format!("resource{index}_resize")));
    }
}

/// The memory regions, from the lines `start end flags` of `resource`.
fn bars(resource: &str, resizable: impl Fn(usize) -> Option<String>) -> Vec<Bar> {
    let region = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        let (start, end, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
        (flags & IORESOURCE_MEM != 0 && end > start).then(|| Size::from_bytes((end - start).saturating_add(1)))
    };
    let regions = resource.lines().take(BARS).enumerate();
    regions
        .filter_map(|(index, line)| {
            let sizes = resizable(index).map(|bits| resize_sizes(&bits)).unwrap_or_default();
            Some(Bar { index: u8::try_from(index).ok()?, size: region(line)?, resizable: sizes })
        })
        .collect()
}

/// The sizes in `resourceN_resize`, a bitmap: bit 0 is 1 MiB, bit 1 is 2 MiB, … (kernel ABI sysfs-bus-pci).
fn resize_sizes(bits: &str) -> Vec<Size> {
    let bits = u64::from_str_radix(bits, 16).unwrap_or(0);
    (0..44).filter(|bit| bits >> bit & 1 == 1).map(|bit| Size::from_mib(1 << bit)).collect()
}

/// The bridges in a path such as `../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0`.
fn ancestors(path: &str) -> Vec<PciAddress> {
    let mut addresses: Vec<PciAddress> = path.split('/').filter_map(|name| name.parse().ok()).collect();
    addresses.pop();
    addresses
}

/// Reads the groups from their listing, if the functions' own links are missing.
fn groups_by_listing(root: &Root, devices: &mut [PciDevice]) {
    for name in root.names(GROUPS) {
        let Ok(number) = name.parse() else { continue };
        for member in root.names(&format!("{GROUPS}/{name}/devices")) {
            let Ok(address) = member.parse::<PciAddress>() else { continue };
            if let Ok(index) = devices.binary_search_by_key(&address, |device| device.address) {
                devices[index].group = Some(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions() {
        let resource = "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n0x0 0x0 0x0\ngarbage\n0x000000000000e000 0x000000000000e07f 0x0000000000040101\n";
        let bars = bars(resource, |index| (index == 1).then(|| "1c0".to_owned()));
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0].size, Size::from_mib(16));
        assert_eq!(bars[1].resizable, [64, 128, 256].map(Size::from_mib));
    }

    #[test]
    fn hierarchy() {
        let path = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0";
        assert_eq!(ancestors(path), ["00:01.0".parse().unwrap()]);
        assert!(ancestors("nonsense").is_empty());
    }
}
