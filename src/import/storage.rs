//! Disks, CDs, floppies, and the controllers they sit on.

use super::draft::Draft;
use super::nodes::{self, File};
use crate::xml::Fragment;

/// Devices that drives are in: driver, bus (`ide` is SATA on a machine with PCI Express), what it is.
const DEVICES: [(&str, &str, &str); 12] = [
    ("virtio-blk-pci", "virtio", "disk"),
    ("virtio-blk", "virtio", "disk"),
    ("virtio-blk-pci-non-transitional", "virtio", "disk"),
    ("scsi-hd", "scsi", "disk"),
    ("scsi-disk", "scsi", "disk"),
    ("scsi-block", "scsi", "lun"),
    ("scsi-cd", "scsi", "cdrom"),
    ("ide-hd", "ide", "disk"),
    ("ide-drive", "ide", "disk"),
    ("ide-cd", "ide", "cdrom"),
    ("usb-storage", "usb", "disk"),
    ("floppy", "fdc", "floppy"),
];

/// Controllers of disks: driver, libvirt's model.
const CONTROLLERS: [(&str, &str); 6] = [
    ("virtio-scsi-pci", "virtio-scsi"),
    ("virtio-scsi", "virtio-scsi"),
    ("virtio-scsi-pci-non-transitional", "virtio-scsi"),
    ("lsi", "lsilogic"),
    ("lsi53c895a", "lsilogic"),
    ("megasas", "lsisas1078"),
];

/// A disk in the making.
#[derive(Default)]
struct Disk {
    file: File,
    bus: String,
    kind: String,
    unit: Option<String>,
    controller: Option<usize>,
    transient: bool,
    /// Attributes of its `<driver>`.
    driver: Vec<(&'static str, String)>,
    more: Vec<Fragment>,
}

pub(super) fn translate(draft: &mut Draft) {
    let threads = iothreads(draft);
    let controllers = controllers(draft, &threads);
    let mut disks = Vec::new();
    for (name, kind) in
        [("hda", "disk"), ("hdb", "disk"), ("hdc", "disk"), ("hdd", "disk"), ("cdrom", "cdrom"), ("fda", "floppy"), ("fdb", "floppy")]
    {
        for index in draft.named(&[name]) {
            let file = File { path: draft.options[index].value().to_owned(), options: vec![index], ..File::default() };
            draft.options[index].props = super::props::Props::default();
            disks.push(Disk { file, bus: if kind == "floppy" { "fdc" } else { "ide" }.into(), kind: kind.into(), ..Disk::default() });
        }
    }
    for index in draft.named(&["drive"]) {
        disks.extend(drive(draft, index, &controllers, &threads));
    }
    for (driver, bus, kind) in DEVICES {
        for index in draft.devices(&[driver]) {
            let Some(node) = draft.options[index].props.peek("drive").map(str::to_owned) else {
                draft.keep(index, "a device without a drive");
                continue;
            };
            let Some(file) = nodes::take(draft, &node) else {
                draft.keep(index, "what it is a drive of has no element");
                continue;
            };
            let mut disk = Disk { file, bus: bus.into(), kind: kind.into(), ..Disk::default() };
            of_device(draft, index, &mut disk, &controllers, &threads);
            disks.push(disk);
        }
    }
    write(draft, disks);
}

/// The names of the I/O threads; libvirt counts them.
fn iothreads(draft: &mut Draft) -> Vec<String> {
    let threads: Vec<usize> =
        draft.named(&["object"]).into_iter().filter(|index| draft.options[*index].props.peek("qom-type") == Some("iothread")).collect();
    let mut names = Vec::new();
    for index in threads {
        names.extend(draft.take(index, "id"));
        draft.take(index, "qom-type");
        draft.native(index, "<iothreads>");
    }
    if !names.is_empty() {
        draft.put("", Fragment::new("iothreads").text(names.len()));
    }
    names
}

/// The names of the SCSI controllers, in order.
fn controllers(draft: &mut Draft, threads: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let drivers: Vec<&str> = CONTROLLERS.iter().map(|(driver, _)| *driver).collect();
    for index in draft.devices(&drivers) {
        let driver = draft.take(index, "driver").unwrap_or_default();
        let model = CONTROLLERS.iter().find(|(known, _)| *known == driver).map_or("virtio-scsi", |(_, model)| model);
        let controller = Fragment::new("controller").with("type", "scsi").with("index", names.len()).with("model", model);
        names.push(draft.take(index, "id").unwrap_or_default());
        let mut attributes = Vec::new();
        attributes.extend(draft.take(index, "num_queues").map(|queues| ("queues", queues)));
        attributes.extend(thread(draft, index, threads).map(|thread| ("iothread", thread)));
        let driver = attributes.iter().fold(Fragment::new("driver"), |driver, (name, value)| driver.with(name, value));
        draft.device(controller.child_if((!attributes.is_empty()).then_some(driver)));
        draft.place_freely(index);
        draft.native(index, "<controller type='scsi'>");
    }
    for index in draft.devices(&["ahci", "ich9-ahci"]) {
        draft.take(index, "driver");
        draft.place_freely(index);
        draft.native(index, "<controller type='sata'>: libvirt adds it for the disks on it");
    }
    names
}

fn thread(draft: &mut Draft, index: usize, threads: &[String]) -> Option<String> {
    let name = draft.take(index, "iothread")?;
    threads.iter().position(|known| *known == name).map(|at| (at + 1).to_string())
}

fn drive(draft: &mut Draft, index: usize, controllers: &[String], threads: &[String]) -> Option<Disk> {
    let id = draft.options[index].props.peek("id").unwrap_or_default().to_owned();
    let device = (!id.is_empty()).then(|| draft.with("device", "drive", &id)).flatten();
    let path = draft.options[index].props.peek("file").unwrap_or_default().to_owned();
    let scheme =
        path.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'));
    let known = device.is_none_or(|device| {
        let driver = draft.options[device].props.peek("driver");
        DEVICES.iter().any(|(known, ..)| Some(*known) == driver)
    });
    if scheme || !known {
        let why = if scheme { "it is no file or device" } else { "its device has no element" };
        draft.keep(index, why);
        if let Some(device) = device {
            draft.keep(device, why);
        }
        return None;
    }
    let interface = draft.take(index, "if").unwrap_or_else(|| "ide".into());
    if interface == "none" && device.is_none() {
        draft.drop(index, "no device uses this drive");
        return None;
    }
    let mut disk = Disk { kind: "disk".into(), bus: interface, ..Disk::default() };
    disk.file.path = draft.take(index, "file").unwrap_or_default();
    disk.file.format = draft.take(index, "format").unwrap_or_default();
    disk.file.aio = draft.take(index, "aio");
    disk.file.discard = draft.take(index, "discard");
    disk.file.read_only = draft.flag(index, "readonly") == Some(true) || draft.flag(index, "read-only") == Some(true);
    disk.file.options = vec![index];
    disk.transient = draft.flag(index, "snapshot") == Some(true);
    let media = draft.take(index, "media");
    if media.as_deref() == Some("cdrom") {
        disk.kind = "cdrom".into();
    }
    for (name, attribute) in
        [("cache", "cache"), ("detect-zeroes", "detect_zeroes"), ("werror", "error_policy"), ("rerror", "rerror_policy")]
    {
        if let Some(value) = draft.take(index, name) {
            disk.driver.push((attribute, if value == "enospc" { "enospace".into() } else { value }));
        }
    }
    disk.more.extend(draft.take(index, "serial").map(|serial| Fragment::new("serial").text(serial)));
    draft.options[index].props.ignore(&["id", "index", "bus", "unit"]);
    if let Some(device) = device {
        of_device(draft, device, &mut disk, controllers, threads);
    }
    Some(disk)
}

/// What the device says that a drive is in.
fn of_device(draft: &mut Draft, index: usize, disk: &mut Disk, controllers: &[String], threads: &[String]) {
    let driver = draft.take(index, "driver").unwrap_or_default();
    if let Some((_, bus, kind)) = DEVICES.iter().find(|(known, ..)| *known == driver) {
        (disk.bus, disk.kind) = ((*bus).to_owned(), (*kind).to_owned());
    }
    disk.driver.extend(thread(draft, index, threads).map(|thread| ("iothread", thread)));
    disk.driver.extend(draft.take(index, "num-queues").map(|queues| ("queues", queues)));
    let bus = draft.take(index, "bus").unwrap_or_default();
    let at = bus.split('.').next().unwrap_or_default();
    disk.controller = controllers.iter().position(|name| name == at);
    disk.unit = bus.strip_prefix("ide.").filter(|_| draft.is_express).map(str::to_owned);
    disk.more.extend(draft.take(index, "serial").map(|serial| Fragment::new("serial").text(serial)));
    disk.more.extend(draft.boot_order(index));
    let sizes = [
        ("logical_block_size", draft.take(index, "logical_block_size")),
        ("physical_block_size", draft.take(index, "physical_block_size")),
    ];
    let sizes: Vec<_> = sizes.into_iter().filter_map(|(name, size)| Some((name, size?))).collect();
    if !sizes.is_empty() {
        disk.more.push(sizes.iter().fold(Fragment::new("blockio"), |blockio, (name, size)| blockio.with(name, size)));
    }
    draft.options[index].props.ignore(&["drive", "unit", "channel", "scsi-id", "lun"]);
    draft.place_freely(index);
    disk.file.options.push(index);
    draft.native(index, "<disk>");
}

fn write(draft: &mut Draft, disks: Vec<Disk>) {
    let mut named = std::collections::BTreeMap::new();
    for disk in disks {
        let bus = match disk.bus.as_str() {
            "ide" if draft.is_express => "sata",
            "floppy" => "fdc",
            other => other,
        };
        let prefix = match bus {
            "virtio" => "vd",
            "ide" => "hd",
            "fdc" => "fd",
            _ => "sd",
        };
        // On SATA a unit that is asked for and the disk's letter are one.
        let count: &mut u8 = named.entry(prefix).or_insert(0);
        let letter = char::from(b'a' + (*count).min(25));
        *count += 1;
        let is_block = disk.file.path.starts_with("/dev/");
        let (kind, attribute) = if is_block { ("block", "dev") } else { ("file", "file") };
        let format = if disk.file.format.is_empty() { guessed(&disk.file.path, &disk.kind) } else { disk.file.format.as_str() };
        let mut driver = Fragment::new("driver").with("name", "qemu").with("type", format);
        let cache = disk.file.cache.map(|cache| ("cache", cache.to_owned()));
        let io = disk.file.aio.clone().map(|io| ("io", io));
        let discard = disk.file.discard.clone().map(|discard| ("discard", if discard == "on" { "unmap".into() } else { discard }));
        for (name, value) in disk.driver.iter().cloned().chain(cache).chain(io).chain(discard) {
            driver = driver.with(name, value);
        }
        let mut element = Fragment::new("disk").with("type", kind).with("device", &disk.kind).child(driver);
        if !disk.file.path.is_empty() {
            element = element.child(Fragment::new("source").with(attribute, &disk.file.path));
        }
        element = element.child(Fragment::new("target").with("dev", format!("{prefix}{letter}")).with("bus", bus));
        element = element.child_if((disk.file.read_only || disk.kind == "cdrom").then(|| Fragment::new("readonly")));
        element = element.child_if(disk.transient.then(|| Fragment::new("transient")));
        element = disk.more.into_iter().fold(element, Fragment::child);
        let drive = |controller: usize, unit: &str| {
            let address = Fragment::new("address").with("type", "drive").with("controller", controller);
            address.with("bus", 0).with("target", 0).with("unit", unit)
        };
        element = element.child_if(match (bus, &disk.unit, disk.controller) {
            ("sata", Some(unit), _) => Some(drive(0, unit)),
            ("scsi", _, Some(controller)) if controller > 0 => Some(drive(controller, "0")),
            _ => None,
        });
        draft.device(element);
        for index in disk.file.options {
            draft.native(index, "<disk>");
        }
    }
}

/// QEMU looks into a file whose format is not said; libvirt does not, and takes it for raw.
fn guessed(path: &str, kind: &str) -> &'static str {
    let ending = path.rsplit('.').next().unwrap_or_default();
    match ending {
        "qcow2" | "qcow" => "qcow2",
        "vmdk" => "vmdk",
        "vdi" => "vdi",
        "vhdx" => "vhdx",
        _ if kind == "disk" && !path.starts_with("/dev/") && !["img", "raw", "iso", "bin"].contains(&ending) => "qcow2",
        _ => "raw",
    }
}
