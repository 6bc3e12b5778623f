//! PCI functions with their groups and names, and USB devices: `/sys/bus`, and `pci.ids` of the host, then of the pci-ids crate.

use super::hangs;
use super::scope::Scope;
use crate::model::{Bar, Card, Class, Host, PciAddress, PciDevice, PciId, Reading, Size, Sriov, UsbDevice, UsbId};
use crate::root::Root;

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
    let functions = functions_of_cards(host);
    for device in host.pci.iter_mut().filter(|device| !device.class.is_display() && functions.contains(&device.address)) {
        details(root, &format!("{DEVICES}/{}", device.address), device);
    }
}

fn functions_of_cards(host: &Host) -> Vec<PciAddress> {
    Card::all(host).into_iter().flat_map(|card| card.functions).collect()
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
    identify(root, &home, &mut device, unread);
    device.group = root.link_name(&format!("{home}/iommu_group")).and_then(|name| name.parse().ok());
    // Read for every class: unbinding a physical function removes its virtual functions.
    device.physical_function = root.link_name(&format!("{home}/physfn")).and_then(|name| name.parse().ok());
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
fn identify(root: &Root, home: &str, device: &mut PciDevice, unread: &mut Vec<String>) {
    let (uevent, because) = match root.reading(&format!("{home}/uevent")) {
        Reading::Known(text) => (text, None),
        Reading::Absent => (String::new(), None),
        Reading::Unknown(because) => (String::new(), Some(because)),
    };
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
    }
    device.reset_methods = attribute("reset_method").map(|text| text.split_ascii_whitespace().map(str::to_owned).collect());
    if let Some(group) = device.group {
        device.reserved_memory = root.text(&format!("{GROUPS}/{group}/reserved_regions")).map(|text| reserved(&text)).unwrap_or_default();
    }
    if let Some(resource) = attribute("resource") {
        device.bars = bars(&resource, |index| attribute(&format!("resource{index}_resize")));
    }
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

/// The paths of the list on different distributions.
const LISTS: [&str; 4] = ["/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids", "/var/lib/pciutils/pci.ids"];

/// The pci-ids crate's table in the same format; see build.rs.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/pci.ids"));

pub(super) fn name(root: &Root, host: &mut Host, scope: Scope) {
    let of_cards = if scope == Scope::NextStep { functions_of_cards(host) } else { Vec::new() };
    let wanted = |device: &&mut PciDevice| match scope {
        Scope::Cards => device.class.is_display(),
        Scope::NextStep => of_cards.contains(&device.address),
        Scope::Devices | Scope::All => true,
    };
    let mut ids: Vec<PciId> = host.pci.iter_mut().filter(wanted).map(|device| device.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return;
    }
    let own = LISTS.iter().find_map(|path| root.part(path, |list| names_excerpt(list, &ids))).unwrap_or_default();
    let missing: Vec<PciId> = ids.into_iter().filter(|id| device_name(&own, *id).is_none()).collect();
    let built_in = names_excerpt(BUILT_IN.as_bytes(), &missing);
    for device in host.pci.iter_mut().filter(wanted) {
        device.name = name_of([&own, &built_in], device.id);
    }
}

/// `Vendor Device`, or only the vendor; both from the first list that has them.
fn name_of(lists: [&[u8]; 2], id: PciId) -> Option<String> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let vendor = lists.iter().find_map(|list| vendor_block(list, id.vendor)).map(|(name, _)| text(name))?;
    let device = lists.iter().find_map(|list| device_name(list, id)).map(text);
    Some(device.map_or_else(|| vendor.clone(), |device| format!("{vendor} {device}")))
}

/// The lines of a list that name these devices, which are sorted. The list has more than a megabyte, and is gone over once.
fn names_excerpt(list: &[u8], ids: &[PciId]) -> Vec<u8> {
    let (mut lines, mut rest) = (Vec::new(), list);
    for of_vendor in ids.chunk_by(|a, b| a.vendor == b.vendor) {
        let vendor = of_vendor[0].vendor;
        // A list is sorted; one that is not is searched from its beginning.
        let Some((name, block)) = vendor_block(rest, vendor).or_else(|| vendor_block(list, vendor)) else { continue };
        lines.extend_from_slice(format!("{vendor:04x}  ").as_bytes());
        lines.extend_from_slice(name);
        lines.push(b'\n');
        let mut unnamed: Vec<u16> = of_vendor.iter().map(|id| id.device).collect();
        for (device, name) in devices_in(block) {
            let Ok(at) = unnamed.binary_search(&device) else { continue };
            unnamed.remove(at);
            lines.extend_from_slice(format!("\t{device:04x}  ").as_bytes());
            lines.extend_from_slice(line(name));
            lines.push(b'\n');
            if unnamed.is_empty() {
                break;
            }
        }
        rest = block;
    }
    lines
}

/// A vendor's name, and the list after its line.
fn vendor_block(list: &[u8], vendor: u16) -> Option<(&[u8], &[u8])> {
    let key = format!("\n{vendor:04x}  ");
    let rest = match list.strip_prefix(&key.as_bytes()[1..]) {
        Some(rest) => rest,
        None => &list[memchr::memmem::find(list, key.as_bytes())? + key.len()..],
    };
    Some((line(rest), memchr::memchr(b'\n', rest).map_or(&[], |end| &rest[end + 1..])))
}

/// The devices of a vendor, each with what follows its id.
fn devices_in(block: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', block).map(|end| end + 1));
    // Up to the next vendor; below a device, after two tabs, are its subsystems.
    starts.take_while(|start| matches!(block.get(*start), Some(b'\t' | b'#'))).filter_map(|start| match &block[start..] {
        [b'\t', a, b, c, d, b' ', b' ', name @ ..] if *a != b'\t' => {
            let digits = [*a, *b, *c, *d];
            Some((u16::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, name))
        }
        _ => None,
    })
}

fn device_name(list: &[u8], id: PciId) -> Option<&[u8]> {
    let (_, block) = vendor_block(list, id.vendor)?;
    devices_in(block).find(|(device, _)| *device == id.device).map(|(_, name)| line(name))
}

/// The rest of the line.
fn line(text: &[u8]) -> &[u8] {
    text[..memchr::memchr(b'\n', text).unwrap_or(text.len())].trim_ascii()
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

    const LIST: &str = "# comment\n10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n\t\t1043 8520  a subsystem\n8086  Intel Corporation\n\t1401  decoy\nC 03  Display controller\n";

    #[test]
    fn own_list_then_crate_then_hex() {
        let named =
            |list: &str, id: PciId| name_of([&names_excerpt(list.as_bytes(), &[id]), &names_excerpt(BUILT_IN.as_bytes(), &[id])], id);
        let name = |id: &str| named(LIST, id.parse().unwrap());
        assert_eq!(name("10de:1401").unwrap(), "NVIDIA Corporation GM206 [GeForce GTX 960]");
        assert_eq!(
            name("1002:67df").unwrap(),
            "Advanced Micro Devices, Inc. [AMD/ATI] Ellesmere [Radeon RX 470/480/570/570X/580/580X/590]"
        );
        assert_eq!(name("10de:fffe").unwrap(), "NVIDIA Corporation");
        assert_eq!(name("0bad:0001"), None);
    }

    #[test]
    fn an_excerpt_is_what_is_asked_for_in_any_order() {
        let ids = ["10de:1401", "10de:1402", "8086:1401"].map(|id| id.parse().unwrap());
        let vendors = |part: Vec<u8>| String::from_utf8(part).unwrap();
        let part = "10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n8086  Intel Corporation\n\t1401  decoy\n";
        assert_eq!(vendors(names_excerpt(LIST.as_bytes(), &ids)), part);
        let (first, second) = (&LIST[..LIST.find("8086").unwrap()], &LIST[LIST.find("8086").unwrap()..]);
        assert_eq!(vendors(names_excerpt(format!("{second}{first}").as_bytes(), &ids)), part);
    }

    #[test]
    fn the_built_in_table_is_whole() {
        assert!(BUILT_IN.lines().count() > 15_000, "{}", BUILT_IN.lines().count());
        assert!(vendor_block(BUILT_IN.as_bytes(), 0x10de).is_some());
    }
}
