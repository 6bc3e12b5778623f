//! PCI functions with their groups, and USB devices: `/sys/bus`.

use super::hangs;
use super::scope::Scope;
use crate::model::{Bar, Card, Class, Host, PciAddress, PciDevice, PciId, Reading, Size, Sriov, UsbDevice, UsbId};
use crate::root::{Folder, Root};

const BUSES: &str = "/sys/bus";
const DEVICES: &str = "/sys/bus/pci/devices";
const GROUPS: &str = "/sys/kernel/iommu_groups";

/// The base address registers of an endpoint; the lines after them in `resource` are the ROM and bridge windows.
const BARS: usize = 6;
/// `IORESOURCE_MEM` of the kernel's ioport.h: a region in memory, not in I/O ports.
const IORESOURCE_MEM: u64 = 0x200;
/// The offset of the header type in the configuration space.
const HEADER_TYPE: usize = 0x0e;

/// The functions, and what could not be read of them: a driver that could not be read is not a missing driver.
pub(super) fn pci(root: &Root, scope: Scope) -> (Vec<PciDevice>, Vec<String>) {
    let mut unread = Vec::new();
    let names = names(root, DEVICES, &mut unread);
    let mut of_drivers = Vec::new();
    let mut devices: Vec<PciDevice> =
        names.iter().filter_map(|name| name.parse().ok()).map(|address| function(root, address, scope, &mut of_drivers)).collect();
    // One of them is enough to say so.
    unread.extend(of_drivers.into_iter().next());
    devices.sort_by_key(|device| device.address);
    if matches!(scope, Scope::Devices | Scope::NextStep) {
        of_parents(root, &mut devices, &mut unread);
    }
    if !devices.is_empty() && devices.iter().all(|device| device.group.is_none()) {
        groups_by_listing(root, &mut devices, &mut unread);
    }
    (devices, unread)
}

/// The details of all functions of the graphics cards; those of their display functions are read already.
pub(super) fn of_cards(root: &Root, host: &mut Host) {
    let functions = Card::functions_of_all(host);
    for device in host.pci.iter_mut().filter(|device| !device.class.is_display() && functions.contains(&device.address)) {
        details(root, &format!("{DEVICES}/{}", device.address), device);
    }
}

/// How many virtual functions those can have that have some now.
fn of_parents(root: &Root, devices: &mut [PciDevice], unread: &mut Vec<String>) {
    let parents: Vec<PciAddress> = devices.iter().filter_map(|device| device.physical_function).collect();
    for device in devices.iter_mut().filter(|device| parents.contains(&device.address)) {
        device.sriov = sriov(root, &format!("{DEVICES}/{}", device.address), unread);
    }
}

/// The names in a directory; if it exists and cannot be read, why.
fn names(root: &Root, path: &str, unread: &mut Vec<String>) -> Vec<String> {
    match root.entries(path) {
        Reading::Known(names) => names,
        Reading::Absent if root.exists(BUSES) => Vec::new(),
        // Without sysfs, as in a container or a partial copy, nothing is known of the hardware.
        Reading::Absent => {
            unread.push(format!("{path}: there is no sysfs here"));
            Vec::new()
        }
        Reading::Unknown(because) => {
            unread.push(because);
            Vec::new()
        }
    }
}

fn function(root: &Root, address: PciAddress, scope: Scope, unread: &mut Vec<String>) -> PciDevice {
    let home = format!("{DEVICES}/{address}");
    let mut device = PciDevice::new(address);
    let folder = Folder::open(root, home.clone());
    identify(root, &home, &folder, &mut device, unread);
    device.group = folder.link_name("iommu_group").and_then(|name| name.parse().ok());
    // Read for every class but bridges, which are never virtual: unbinding a physical function removes its virtual functions.
    if !device.class.is_any_bridge() {
        device.physical_function = folder.link_name("physfn").and_then(|name| name.parse().ok());
    }
    // The bridges above display and audio functions decide which functions belong to one card.
    if scope == Scope::All || matches!(device.class.base(), 0x03 | 0x04) {
        device.ancestors = root.link(&home).map(|path| PciAddress::in_path(&path)).unwrap_or_default();
        device.ancestors.pop();
    }
    if scope == Scope::All || device.class.is_display() {
        details(root, &home, &mut device);
    }
    if scope == Scope::All {
        device.sriov = sriov(root, &home, unread);
    }
    device
}

/// Neither attribute waits for the lock of the device, as `sriov_numvfs` does (drivers/pci/iov.c).
fn sriov(root: &Root, home: &str, unread: &mut Vec<String>) -> Option<Sriov> {
    let number = |name: &str| {
        let path = format!("{home}/{name}");
        root.reading(&path).and_then(|text| text.trim().parse::<u32>().map_err(|error| format!("cannot read {path}: {error}")))
    };
    match number("sriov_totalvfs") {
        Reading::Known(total) => Some(Sriov {
            total,
            autoprobe: !matches!(number("sriov_drivers_autoprobe"), Reading::Known(0)),
            down: interface_down(root, home),
        }),
        Reading::Absent => None,
        Reading::Unknown(because) => {
            unread.push(because);
            None
        }
    }
}

/// A network interface of a function that is known to be down: without `IFF_UP` in its flags (netdevice(7)).
fn interface_down(root: &Root, home: &str) -> Option<String> {
    let flags = |name: &String| {
        let text = root.attribute(&format!("{home}/net/{name}/flags"))?;
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    };
    root.names(&format!("{home}/net")).into_iter().find(|name| flags(name).is_some_and(|flags| flags & 1 == 0))
}

/// Ids, class and driver: `uevent` has all of them in one read; single attributes are the fallback.
fn identify(root: &Root, home: &str, folder: &Folder, device: &mut PciDevice, unread: &mut Vec<String>) {
    let (uevent, because) = match folder.attribute_reading("uevent") {
        Reading::Known(text) => (text, None),
        Reading::Absent => (String::new(), None),
        Reading::Unknown(because) => (String::new(), Some(because)),
    };
    let (mut id, mut class) = (None, None);
    for (key, value) in uevent.lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim();
        match key {
            "PCI_ID" => id = value.parse().ok(),
            "PCI_CLASS" => class = u32::from_str_radix(value, 16).ok(),
            "PCI_SUBSYS_ID" => device.subsystem = value.parse().ok().filter(|id| *id != PciId::default()),
            "DRIVER" => device.driver = Some(value.to_owned()),
            _ => {}
        }
    }
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
    device.driver = device.driver.take().or_else(|| folder.link_name("driver"));
    if device.driver.is_none() {
        unread.extend(because);
    }
}

fn details(root: &Root, home: &str, device: &mut PciDevice) {
    let attribute = |name: &str| root.attribute(&format!("{home}/{name}"));
    device.revision = attribute("revision").and_then(|text| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    // Reading it waits for the lock of the device (`driver_override_show`), which a driver that hangs has.
    if !hangs::may_hang(root, device.address) {
        device.driver_override = attribute("driver_override").filter(|name| name != "(null)");
    }
    device.header_type =
        root.first_bytes(&format!("{home}/config"), 64).ok().and_then(|config| config.get(HEADER_TYPE).map(|byte| byte & 0x7f));
    // -1 means that the firmware does not specify a node.
    device.numa_node = attribute("numa_node").and_then(|text| text.parse().ok());
    if device.class.is_display() {
        device.boot_vga = attribute("boot_vga").map(|text| text == "1");
        device.removable = attribute("removable").is_some_and(|text| text == "removable");
        device.monitor = monitor(root, home);
    }
    device.reset_methods = attribute("reset_method").map(|text| text.split_ascii_whitespace().map(str::to_owned).collect());
    if let Some(group) = device.group {
        device.reserved_memory = root.text(&format!("{GROUPS}/{group}/reserved_regions")).map(|text| reserved(&text)).unwrap_or_default();
    }
    if let Some(resource) = attribute("resource") {
        device.bars = bars(&resource, |index| attribute(&format!("resource{index}_resize")));
    }
}

/// Whether one of the outputs has a monitor (`status`: connected, disconnected or unknown). A writeback connector is no output.
fn monitor(root: &Root, home: &str) -> Option<bool> {
    let cards = root.names(&format!("{home}/drm")).into_iter().filter(|name| name.starts_with("card"));
    let states = cards.flat_map(|card| {
        let outputs = root.names(&format!("{home}/drm/{card}")).into_iter();
        let outputs = outputs.filter(|name| name.starts_with(&format!("{card}-")) && !name.contains("-Writeback-")).collect::<Vec<_>>();
        outputs.into_iter().map(move |output| root.attribute(&format!("{home}/drm/{card}/{output}/status")))
    });
    let states: Vec<Option<String>> = states.collect();
    if states.iter().any(|state| state.as_deref() == Some("connected")) {
        return Some(true);
    }
    (!states.is_empty() && states.iter().all(|state| state.as_deref() == Some("disconnected"))).then_some(false)
}

/// The ranges of type `direct`, from the lines `start end type` (kernel ABI sysfs-kernel-iommu_groups). `direct-relaxable` ranges,
/// which graphics and USB have, do not prevent passing a group through; `msi` and `reserved` are no memory of a device.
fn reserved(regions: &str) -> Vec<String> {
    let range = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        matches!(words.as_slice(), [_, _, "direct"]).then(|| format!("{}-{}", words[0], words[1]))
    };
    regions.lines().filter_map(range).collect()
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

/// Reads the groups from their listing, if the functions' own links are missing.
fn groups_by_listing(root: &Root, devices: &mut [PciDevice], unread: &mut Vec<String>) {
    for name in names(root, GROUPS, unread) {
        let Ok(number) = name.parse() else { continue };
        for member in root.names(&format!("{GROUPS}/{name}/devices")) {
            let Ok(address) = member.parse::<PciAddress>() else { continue };
            if let Ok(index) = devices.binary_search_by_key(&address, |device| device.address) {
                devices[index].group = Some(number);
            }
        }
    }
}

const USB: &str = "/sys/bus/usb/devices";

pub(super) fn usb(root: &Root) -> Vec<UsbDevice> {
    let names = root.names(USB);
    // `usb1` is a root hub, `1-4` a device, `1-4:1.0` an interface of it.
    let ports = names.iter().filter(|name| name.contains('-') && !name.contains(':'));
    ports.filter_map(|port| usb_device(root, port, &names)).collect()
}

fn usb_device(root: &Root, port: &str, names: &[String]) -> Option<UsbDevice> {
    let attribute = |name: &str| root.attribute(&format!("{USB}/{port}/{name}"));
    let id: UsbId = format!("{}:{}", attribute("idVendor")?, attribute("idProduct")?).parse().ok()?;
    let words: Vec<String> = ["manufacturer", "product"].iter().filter_map(|name| attribute(name)).collect();
    let interfaces = names.iter().filter(|name| name.split_once(':').is_some_and(|(device, _)| device == port));
    let mut drivers: Vec<String> = interfaces.filter_map(|name| root.link_name(&format!("{USB}/{name}/driver"))).collect();
    drivers.sort_unstable();
    drivers.dedup();
    Some(UsbDevice {
        bus: attribute("busnum")?.parse().ok()?,
        device: attribute("devnum")?.parse().ok()?,
        port: port.to_owned(),
        id,
        controller: root.link(&format!("{USB}/{port}")).and_then(|path| PciAddress::in_path(&path).pop()),
        name: (!words.is_empty()).then(|| words.join(" ")),
        drivers,
    })
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
}
