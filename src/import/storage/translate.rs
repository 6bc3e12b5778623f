//! Converts the disks and storage controllers of a script.

use super::super::draft::{Conversion, Draft};
use super::super::nodes::{self, File};
use super::super::surroundings::ImportContext;
use super::super::{options, props};
use super::disk::{Disk, DiskAddress};
use super::place::place;
use super::write::write;
use crate::xml::Fragment;

/// Disk devices: driver, bus (`ide` is SATA on a machine with PCI Express), libvirt's device type.
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

/// Disk controllers: driver, libvirt's model.
const CONTROLLERS: [(&str, &str); 6] = [
    ("virtio-scsi-pci", "virtio-scsi"),
    ("virtio-scsi", "virtio-scsi"),
    ("virtio-scsi-pci-non-transitional", "virtio-scsi"),
    ("lsi", "lsilogic"),
    ("lsi53c895a", "lsilogic"),
    ("megasas", "lsisas1078"),
];

/// The controllers that a script names, in order.
struct Controllers {
    scsi: Vec<(String, &'static str)>,
    /// By name; `""` is the one built into a machine with PCI Express.
    sata: Vec<String>,
}

/// IDE disks by their index on the bus (a CD is 2, `qemu-options.hx`), and floppies.
const SHORT: [(&str, &str, usize); 7] = [
    ("hda", "disk", 0),
    ("hdb", "disk", 1),
    ("hdc", "disk", 2),
    ("hdd", "disk", 3),
    ("cdrom", "cdrom", 2),
    ("fda", "floppy", 0),
    ("fdb", "floppy", 1),
];

pub(in crate::import) fn translate(draft: &mut Draft, around: &ImportContext<'_>) {
    let threads = iothreads(draft);
    let controllers = Controllers { scsi: controllers(draft, &threads), sata: sata(draft) };
    let mut disks = Vec::new();
    // IDE indexes of disks that are passed to QEMU unchanged.
    let mut kept = Vec::new();
    for (name, kind, place) in SHORT {
        for index in draft.named(&[name]) {
            let path = draft.options[index].value().to_owned();
            if has_scheme(&path) {
                draft.keep(index, "it is not a file or device");
                kept.push(place);
                continue;
            }
            let file = File { path, options: vec![index], ..File::default() };
            draft.options[index].props = props::Props::default();
            let bus = if kind == "floppy" { "fdc" } else { "ide" }.into();
            let place = DiskAddress { index: Some(place), ..DiskAddress::default() };
            let transient = draft.has_option("snapshot");
            disks.push(Disk { file, bus, kind: kind.into(), place, transient, order: index, ..Disk::default() });
        }
    }
    for index in draft.named(&["drive"]) {
        disks.extend(drive(draft, index, &controllers, &threads));
    }
    for (driver, bus, kind) in DEVICES {
        for index in draft.devices(&[driver]) {
            let Some(node) = draft.options[index].props.peek("drive").map(str::to_owned) else {
                draft.keep(index, "the device has no drive");
                continue;
            };
            let Some(file) = nodes::take(draft, &node) else {
                draft.keep(index, "libvirt has no element for its block node");
                continue;
            };
            let mut disk =
                Disk { file, bus: bus.into(), kind: kind.into(), order: index, transient: draft.has_option("snapshot"), ..Disk::default() };
            of_device(draft, index, &mut disk, &controllers, &threads);
            disks.push(disk);
        }
    }
    protect(draft, &mut disks);
    place(draft, &mut disks, &kept);
    write(draft, disks, around);
}

/// `-snapshot`, and `snapshot=on` of a drive: the guest's writes do not reach the image. libvirt supports that
/// for files only.
fn protect(draft: &mut Draft, disks: &mut [Disk]) {
    for disk in &mut *disks {
        disk.transient &= !disk.file.path.is_empty() && !disk.file.read_only && disk.kind != "cdrom";
        let path = &disk.file.path;
        if disk.transient && disk.kind == "floppy" {
            let remedy = format!("copy it, and name the copy in the script without snapshot: cp {path} COPY");
            draft.refuse(disk.order, "the script discards writes to this floppy (snapshot); libvirt can do that for disks only", remedy);
        } else if disk.transient && (path.starts_with("/dev/") || disk.kind == "lun") {
            let format = if disk.file.format.is_empty() { "raw" } else { &disk.file.format };
            let remedy = format!(
                "create an overlay and name it in the script without snapshot: qemu-img create -f qcow2 -b {path} -F {format} OVERLAY.qcow2"
            );
            draft.refuse(disk.order, "the script discards writes to this device (snapshot); libvirt can do that for files only", remedy);
        }
    }
    for index in draft.named(&["snapshot"]) {
        let is_kept = |(option, fate): (&options::QemuOption, &Option<(Conversion, String)>)| {
            matches!(fate, Some((Conversion::Unchanged, _)))
                && (option.name == "drive" || SHORT.iter().any(|(name, ..)| *name == option.name))
        };
        if draft.options.iter().zip(&draft.conversions).any(is_kept) {
            draft.keep(index, "it applies to the drives that are passed to QEMU unchanged; the others are <transient/>");
        } else {
            draft.native(index, "<disk><transient/>: libvirt discards the guest's writes");
        }
    }
}

/// The names of the I/O threads; libvirt numbers them.
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
fn controllers(draft: &mut Draft, threads: &[String]) -> Vec<(String, &'static str)> {
    let mut names = Vec::new();
    let drivers: Vec<&str> = CONTROLLERS.iter().map(|(driver, _)| *driver).collect();
    for index in draft.devices(&drivers) {
        let driver = draft.take(index, "driver").unwrap_or_default();
        let model = CONTROLLERS.iter().find(|(known, _)| *known == driver).map_or(&"virtio-scsi", |(_, model)| model);
        let controller = Fragment::new("controller").with("type", "scsi").with("index", names.len()).with("model", model);
        let id = draft.take(index, "id").unwrap_or_default();
        draft.renamed.push((id.clone(), format!("scsi{}", names.len())));
        names.push((id, *model));
        let mut attributes = Vec::new();
        attributes.extend(draft.take(index, "num_queues").map(|queues| ("queues", queues)));
        attributes.extend(thread(draft, index, threads).map(|thread| ("iothread", thread)));
        let driver = attributes.iter().fold(Fragment::new("driver"), |driver, (name, value)| driver.with(name, value));
        draft.device(controller.child_if((!attributes.is_empty()).then_some(driver)));
        draft.ignore_address(index);
        draft.native(index, "<controller type='scsi'>");
    }
    names
}

/// AHCI controllers; a machine with PCI Express has one before them.
fn sata(draft: &mut Draft) -> Vec<String> {
    let mut names = if draft.is_express { vec![String::new()] } else { Vec::new() };
    for index in draft.devices(&["ahci", "ich9-ahci"]) {
        draft.take(index, "driver");
        let id = draft.take(index, "id").unwrap_or_default();
        // Without an id its disks cannot be distinguished from those of other controllers.
        if !id.is_empty() {
            draft.device(Fragment::new("controller").with("type", "sata").with("index", names.len()));
            draft.renamed.push((id.clone(), format!("sata{}", names.len())));
            names.push(id);
        }
        draft.ignore_address(index);
        draft.native(index, "<controller type='sata'>");
    }
    names
}

fn thread(draft: &mut Draft, index: usize, threads: &[String]) -> Option<String> {
    let name = draft.take(index, "iothread")?;
    threads.iter().position(|known| *known == name).map(|at| (at + 1).to_string())
}

/// Whether it is a QEMU protocol and not a path: `nbd:…`, `http://…`, `json:{…}`.
fn has_scheme(path: &str) -> bool {
    path.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
}

fn drive(draft: &mut Draft, index: usize, controllers: &Controllers, threads: &[String]) -> Option<Disk> {
    let id = draft.options[index].props.peek("id").unwrap_or_default().to_owned();
    let device = (!id.is_empty()).then(|| draft.with("device", "drive", &id)).flatten();
    let path = draft.options[index].props.peek("file").unwrap_or_default().to_owned();
    let scheme = has_scheme(&path);
    let known = device.is_none_or(|device| {
        let driver = draft.options[device].props.peek("driver");
        DEVICES.iter().any(|(known, ..)| Some(*known) == driver)
    });
    if scheme || !known {
        let why = if scheme { "it is not a file or device" } else { "libvirt has no element for its device" };
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
    let mut disk = Disk { kind: "disk".into(), bus: interface, order: index, ..Disk::default() };
    disk.file.path = draft.take(index, "file").unwrap_or_default();
    disk.file.format = draft.take(index, "format").unwrap_or_default();
    disk.file.aio = draft.take(index, "aio");
    disk.file.discard = draft.take(index, "discard");
    disk.file.read_only = draft.flag(index, "readonly") == Some(true) || draft.flag(index, "read-only") == Some(true);
    disk.file.options = vec![index];
    disk.transient = draft.flag(index, "snapshot").unwrap_or(draft.has_option("snapshot"));
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
    cache_by_parts(draft, index, &mut disk);
    throttling(draft, index, &mut disk);
    let number = |draft: &mut Draft, name: &str| draft.take(index, name).and_then(|number| number.parse::<usize>().ok());
    disk.place.index = number(draft, "index");
    (disk.place.bus, disk.place.unit) = (number(draft, "bus"), number(draft, "unit"));
    draft.take(index, "id");
    if let Some(device) = device {
        of_device(draft, device, &mut disk, controllers, threads);
    }
    Some(disk)
}

/// Applies the properties of the device that uses a drive.
fn of_device(draft: &mut Draft, index: usize, disk: &mut Disk, controllers: &Controllers, threads: &[String]) {
    let driver = draft.take(index, "driver").unwrap_or_default();
    if let Some((_, bus, kind)) = DEVICES.iter().find(|(known, ..)| *known == driver) {
        // The old drivers are a disk or a CD, depending on the drive.
        let is_cd = disk.kind == "cdrom" && ["ide-drive", "scsi-disk"].contains(&driver.as_str());
        (disk.bus, disk.kind) = ((*bus).to_owned(), if is_cd { "cdrom" } else { *kind }.to_owned());
    }
    disk.driver.extend(thread(draft, index, threads).map(|thread| ("iothread", thread)));
    disk.driver.extend(draft.take(index, "num-queues").map(|queues| ("queues", queues)));
    let bus = draft.take(index, "bus").unwrap_or_default();
    let (at, port) = bus.rsplit_once('.').unwrap_or((&bus, ""));
    let port: Option<usize> = port.parse().ok();
    let mut number = |name: &str| draft.options[index].props.take(name).and_then(|number| number.parse::<usize>().ok());
    let [unit, channel, id, lun] = ["unit", "channel", "scsi-id", "lun"].map(&mut number);
    match disk.bus.as_str() {
        "ide" => match controllers.sata.iter().position(|name| name == if at == "ide" { "" } else { at }) {
            // To QEMU each port is a separate bus.
            Some(controller) if !bus.is_empty() => {
                disk.bus = "sata".into();
                disk.place = DiskAddress { controller: Some(controller), unit: port, ..DiskAddress::default() };
            }
            _ => disk.place = DiskAddress { bus: port, unit, ..DiskAddress::default() },
        },
        "scsi" => {
            let controller = controllers.scsi.iter().position(|(name, _)| !name.is_empty() && name == at);
            let is_narrow = controllers.scsi.get(controller.unwrap_or(0)).is_some_and(|(_, model)| *model != "virtio-scsi");
            // On a narrow (old) controller libvirt's unit is QEMU's SCSI id.
            let (target, unit) = if is_narrow { (None, id.or(lun)) } else { (id, lun) };
            disk.place = DiskAddress { controller, bus: channel, target, unit, index: None };
        }
        _ => {}
    }
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
    if let Some(rate) = draft.take(index, "rotation_rate") {
        disk.target.push(("rotation_rate", rate));
    }
    for (name, attribute) in [("iommu_platform", "iommu"), ("ats", "ats"), ("packed", "packed"), ("event_idx", "event_idx")] {
        if let Some(is_on) = draft.flag(index, name) {
            disk.driver.push((attribute, if is_on { "on" } else { "off" }.into()));
        }
    }
    draft.take(index, "drive");
    draft.ignore_address(index);
    disk.file.options.push(index);
    draft.native(index, "<disk>");
}

/// `cache.direct=` and its like in place of `cache=` (the table in `qemu-options.hx`).
fn cache_by_parts(draft: &mut Draft, index: usize, disk: &mut Disk) {
    let parts = ["cache.writeback", "cache.direct", "cache.no-flush"];
    if parts.iter().all(|name| draft.options[index].props.peek(name).is_none()) {
        return;
    }
    let [writeback, direct, no_flush] = parts.map(|name| draft.flag(index, name));
    let mode = match (writeback.unwrap_or(true), direct == Some(true), no_flush == Some(true)) {
        (true, false, false) => "writeback",
        (true, true, false) => "none",
        (true, false, true) => "unsafe",
        (false, true, false) => "directsync",
        (false, false, false) => "writethrough",
        (writeback, direct, _) => {
            let mode = if direct { "none" } else { "unsafe" };
            let words = if writeback { "cache.direct=on with cache.no-flush=on" } else { "cache.writeback=off with cache.no-flush=on" };
            draft.notes.push(format!("{words}: libvirt has no such cache mode, and '{mode}' is used"));
            mode
        }
    };
    disk.driver.push(("cache", mode.into()));
}

/// I/O limits of a disk: QEMU's old and new names, libvirt's.
const LIMITS: [(&str, &str, &str); 18] = [
    ("bps", "throttling.bps-total", "total_bytes_sec"),
    ("bps_rd", "throttling.bps-read", "read_bytes_sec"),
    ("bps_wr", "throttling.bps-write", "write_bytes_sec"),
    ("iops", "throttling.iops-total", "total_iops_sec"),
    ("iops_rd", "throttling.iops-read", "read_iops_sec"),
    ("iops_wr", "throttling.iops-write", "write_iops_sec"),
    ("bps_max", "throttling.bps-total-max", "total_bytes_sec_max"),
    ("bps_rd_max", "throttling.bps-read-max", "read_bytes_sec_max"),
    ("bps_wr_max", "throttling.bps-write-max", "write_bytes_sec_max"),
    ("iops_max", "throttling.iops-total-max", "total_iops_sec_max"),
    ("iops_rd_max", "throttling.iops-read-max", "read_iops_sec_max"),
    ("iops_wr_max", "throttling.iops-write-max", "write_iops_sec_max"),
    ("bps_max_length", "throttling.bps-total-max-length", "total_bytes_sec_max_length"),
    ("iops_max_length", "throttling.iops-total-max-length", "total_iops_sec_max_length"),
    ("iops_rd_max_length", "throttling.iops-read-max-length", "read_iops_sec_max_length"),
    ("iops_wr_max_length", "throttling.iops-write-max-length", "write_iops_sec_max_length"),
    ("iops_size", "throttling.iops-size", "size_iops_sec"),
    ("group", "throttling.group", "group_name"),
];

fn throttling(draft: &mut Draft, index: usize, disk: &mut Disk) {
    let limit = |(old, new, element): &(&str, &str, &str)| {
        let value = draft.options[index].props.take(old).or_else(|| draft.options[index].props.take(new))?;
        Some(Fragment::new(element).text(value))
    };
    let limits: Vec<Fragment> = LIMITS.iter().filter_map(limit).collect();
    if !limits.is_empty() {
        disk.more.push(limits.into_iter().fold(Fragment::new("iotune"), Fragment::child));
    }
}
