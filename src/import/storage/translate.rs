//! Converts the disks and storage controllers of a script.

use super::super::draft::Draft;
use super::super::nodes::{self, File};
use super::super::paths::ImportContext;
use super::super::table;
use super::boot;
use super::disk::{Disk, DiskAddress, nvme, write};
use super::place::place;
use crate::model::is_device_by_name;
use crate::xml::Fragment;

/// The controllers that a script names, in order.
struct Controllers {
    /// The models of the SCSI controllers.
    scsi: Vec<String>,
    /// The names of the I/O threads; libvirt numbers them.
    threads: Vec<String>,
}

pub(in crate::import) fn translate(draft: &mut Draft, around: &ImportContext<'_>) {
    refuse_parts(draft);
    let threads = iothreads(draft);
    let controllers = Controllers { scsi: scsi(draft, &threads), threads };
    sata(draft);
    let mut disks = Vec::new();
    for index in draft.named(&["drive"]) {
        disks.extend(drive(draft, index, &controllers));
    }
    for index in draft.devices(&["disk"]) {
        let Some(node) = draft.peek(index, "drive").map(str::to_owned) else {
            draft.keep(index, "the device has no drive");
            continue;
        };
        if is_on_unknown(draft, index) {
            draft.keep(index, "libvirt has no element for its controller");
            continue;
        }
        let Some(file) = nodes::take(draft, &node) else {
            draft.keep(index, "libvirt has no element for its block node");
            continue;
        };
        let limits = file.limits;
        let mut disk = Disk::new(file, "", "", index);
        if let Some(limits) = limits {
            draft.take(limits, "qom-type");
            limit(draft, limits, &mut disk.file.element);
            // A group without limits is none.
            if disk.file.element.at("iotune").is_some() {
                disk.file.element.set("iotune/group_name", draft.peek(limits, "id").unwrap_or_default().to_owned());
            }
        }
        disk.transient = draft.has_option("snapshot");
        of_device(draft, index, &mut disk, &controllers);
        disks.push(disk);
    }
    of_sockets(draft, &mut disks, &controllers);
    floppies(draft, &mut disks);
    protect(draft, &mut disks);
    place(draft, &mut disks);
    boot::order(draft, &mut disks);
    write(draft, disks, around);
}

/// Disks that another process serves.
fn of_sockets(draft: &mut Draft, disks: &mut Vec<Disk>, controllers: &Controllers) {
    for index in draft.devices(&["disk vhostuser"]) {
        let socket =
            draft.behind(index, "chardev", "chardev").filter(|socket| draft.peek(*socket, "server").is_none_or(|on| !table::is_on(on)));
        let Some((socket, path)) = socket.and_then(|socket| Some((socket, draft.take(socket, "path")?))) else {
            draft.keep(index, "libvirt has no element for its backend");
            continue;
        };
        let file = File { format: "raw".to_owned(), options: vec![socket], ..File::default() };
        let mut disk = Disk::new(file, "virtio", "disk", index);
        disk.file.element = draft.element(index, "disk vhostuser");
        disk.file.element.set("source@path", path);
        draft.fill(socket, "chardev", &mut disk.file.element);
        of_device(draft, index, &mut disk, controllers);
        draft.needs_shared_memory = true;
        disks.push(disk);
    }
}

/// A disk that begins or ends within a file or a device (`offset` and `size` of QEMU's raw format): the whole one is another disk,
/// to which the guest would write in other places.
fn refuse_parts(draft: &mut Draft) {
    for index in draft.named(&["drive", "blockdev"]) {
        let said = |name: &str| draft.peek(index, name).filter(|value| *value != "0").map(|value| format!("{name}={value}"));
        let is_one = draft.peek(index, "offset").is_some() || draft.peek(index, "driver") == Some("raw");
        let words: Vec<String> = ["offset", "size"].into_iter().filter_map(said).collect();
        if is_one && !words.is_empty() {
            let why = format!("{}: the guest's disk is only a part of it, and vgapt does not convert that", words.join(","));
            let remedy =
                "make a device of the part, and name that in the script: losetup --find --show --offset OFFSET --sizelimit SIZE FILE";
            draft.refuse(index, &why, remedy);
        }
    }
}

/// The controller of floppies is libvirt's own; it has their boot order.
fn floppies(draft: &mut Draft, disks: &mut [Disk]) {
    for index in draft.devices(&["controller fdc"]) {
        for disk in disks.iter_mut().filter(|disk| disk.bus == "fdc" || disk.bus == "floppy") {
            let name = if disk.place.unit.or(disk.place.index) == Some(1) { "bootindexB" } else { "bootindexA" };
            if let Some(order) = draft.take(index, name) {
                disk.file.element.set("boot@order", order);
            }
        }
        draft.ignore_address(index);
        draft.native(index, "<controller type='fdc'>: libvirt adds it");
    }
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
        } else if disk.transient && (is_device_by_name(path) || nvme(path).is_some() || disk.kind == "lun") {
            let format = if disk.file.format.is_empty() { "raw" } else { &disk.file.format };
            let remedy = format!(
                "create an overlay and name it in the script without snapshot: qemu-img create -f qcow2 -b {path} -F {format} OVERLAY.qcow2"
            );
            draft.refuse(disk.order, "the script discards writes to this device (snapshot); libvirt can do that for files only", remedy);
        }
    }
    for index in draft.named(&["snapshot"]) {
        if draft.options.iter().any(|option| option.is_kept() && option.name == "drive") {
            draft.keep(index, "it applies to the drives that are passed to QEMU unchanged; the others are <transient/>");
        } else {
            draft.native(index, "<disk><transient/>: libvirt discards the guest's writes");
        }
    }
}

fn iothreads(draft: &mut Draft) -> Vec<String> {
    let mut names = Vec::new();
    for index in draft.objects("iothread") {
        names.extend(draft.take(index, "id"));
        draft.take(index, "qom-type");
        draft.native(index, "<iothreads>");
    }
    if !names.is_empty() {
        draft.domain.set("iothreads", names.len());
    }
    names
}

/// The models of the SCSI controllers, in order.
fn scsi(draft: &mut Draft, threads: &[String]) -> Vec<String> {
    let mut models = Vec::new();
    for index in draft.devices(&["controller scsi"]) {
        let mut controller = draft.begin_controller(index, "scsi", 1, "scsi");
        // The model of a transitional device does not say that it is virtio-scsi, which it is.
        let virtio = draft.virtio_model(index);
        let element = draft.element(index, "controller scsi");
        let model = element.attribute("model").unwrap_or_default();
        let model = if model == "virtio-scsi" && virtio != "virtio" { virtio } else { model }.to_owned();
        controller.set("@model", &model);
        controller.absorb(element);
        iothread(draft, index, threads, &mut controller);
        models.push(model);
        draft.finish(index, controller);
    }
    models
}

/// AHCI controllers; a machine with PCI Express has one before them.
fn sata(draft: &mut Draft) {
    for index in draft.devices(&["controller sata"]) {
        let controller = draft.begin_controller(index, "ide", 6, "sata");
        draft.finish(index, controller);
    }
}

/// The I/O thread of a device, or those of its queues.
fn iothread(draft: &mut Draft, index: usize, threads: &[String], element: &mut Fragment) {
    let number = |name: &String| threads.iter().position(|known| known == name).map(|at| at + 1);
    if let Some(thread) = draft.take(index, "iothread").as_ref().and_then(number) {
        element.set("driver@iothread", thread);
    }
    for at in 0.. {
        let Some(thread) = draft.take(index, &format!("iothread-vq-mapping.{at}.iothread")).as_ref().and_then(number) else { break };
        let queues: Vec<String> = (0..).map_while(|queue| draft.take(index, &format!("iothread-vq-mapping.{at}.vqs.{queue}"))).collect();
        let of_thread = queues
            .iter()
            .fold(Fragment::new("iothread").with("id", thread), |all, queue| all.child(Fragment::new("queue").with("id", queue)));
        element.push("driver/iothreads", of_thread);
    }
}

/// Whether it is a QEMU protocol and not a path: `nbd:…`, `http://…`, `json:{…}`.
fn has_scheme(path: &str) -> bool {
    path.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
}

/// Whether a disk is on a controller of the script for which libvirt has no element.
fn is_on_unknown(draft: &Draft, device: usize) -> bool {
    let driver = draft.peek(device, "driver").unwrap_or_default();
    ["ide-", "scsi-"].iter().any(|of| driver.starts_with(of)) && draft.is_on_unknown(device)
}

fn drive(draft: &mut Draft, index: usize, controllers: &Controllers) -> Option<Disk> {
    let device = draft.peek(index, "id").filter(|id| !id.is_empty()).and_then(|id| draft.with("device", "drive", id));
    let scheme = draft.peek(index, "file").is_some_and(|path| has_scheme(path) && nvme(path).is_none());
    let is_disk = |device: usize| {
        draft.options[device].driver().is_some_and(|driver| table::group(driver, &["disk"]).is_some()) && !is_on_unknown(draft, device)
    };
    if scheme || !device.is_none_or(is_disk) {
        let why = if scheme { "it is not a file or device" } else { "libvirt has no element for its device, or for its controller" };
        if let Some(device) = device {
            // Older versions of QEMU left such a drive to the device; newer ones attach it to the board too, and refuse that.
            if draft.peek(index, "if").is_none() {
                draft.options[index].set("if", Some("none"));
                let written = draft.options[index].written.clone();
                draft.notes.push(format!("{written}: if=none is added, since a device uses the drive, and QEMU refuses it without"));
            }
            draft.keep(device, why);
        }
        draft.keep(index, why);
        return None;
    }
    if draft.peek(index, "file") == Some("") && draft.peek(index, "media") != Some("cdrom") && draft.peek(index, "if") != Some("floppy") {
        draft.refuse_empty(index);
    }
    let interface = draft.take(index, "if").unwrap_or_else(|| "ide".into());
    if interface == "none" && device.is_none() {
        draft.drop(index, "no device uses this drive");
        return None;
    }
    let file = File {
        path: draft.take(index, "file").unwrap_or_default(),
        // `driver=` is another name of it.
        format: draft.take(index, "format").or_else(|| draft.take(index, "driver")).unwrap_or_default(),
        read_only: draft.flag(index, "readonly") == Some(true) || draft.flag(index, "read-only") == Some(true),
        options: vec![index],
        ..File::default()
    };
    let is_cd = draft.take(index, "media").as_deref() == Some("cdrom");
    let kind = match interface.as_str() {
        "floppy" => "floppy",
        // There a CD is a disk that cannot be written.
        "virtio" => "disk",
        _ if is_cd => "cdrom",
        _ => "disk",
    };
    let mut disk = Disk::new(file, &interface, kind, index);
    disk.file.read_only |= is_cd;
    disk.transient = draft.flag(index, "snapshot").unwrap_or(draft.has_option("snapshot"));
    cache_by_parts(draft, index);
    if disk.file.path.is_empty() {
        // QEMU opens nothing with it, and libvirt refuses it without the cache that goes with it.
        draft.options[index].set("aio", None);
    }
    draft.fill(index, "drive", &mut disk.file.element);
    limit(draft, index, &mut disk.file.element);
    disk.place.index = draft.number(index, "index");
    (disk.place.bus, disk.place.unit) = (draft.number(index, "bus"), draft.number(index, "unit"));
    if let Some(device) = device {
        of_device(draft, device, &mut disk, controllers);
    }
    Some(disk)
}

/// Applies the properties of the device that uses a drive.
fn of_device(draft: &mut Draft, index: usize, disk: &mut Disk, controllers: &Controllers) {
    let driver = draft.peek(index, "driver").unwrap_or_default();
    if let Some(element) = table::element("disk", driver) {
        // The old drivers are a disk or a CD, depending on the drive.
        let is_cd = disk.kind == "cdrom" && ["ide-drive", "scsi-disk"].contains(&driver);
        element.attribute("bus").unwrap_or_default().clone_into(&mut disk.bus);
        if is_cd { "cdrom" } else { element.attribute("device").unwrap_or_default() }.clone_into(&mut disk.kind);
    }
    iothread(draft, index, &controllers.threads, &mut disk.file.element);
    draft.fill(index, "disk", &mut disk.file.element);
    if draft.flag(index, "write-cache") == Some(false) {
        let of_drive = disk.file.element.at("driver").and_then(|driver| driver.attribute("cache"));
        let direct = matches!(of_drive, Some("none" | "directsync"));
        disk.file.element.set("driver@cache", if direct { "directsync" } else { "writethrough" });
    }
    let model = draft.virtio_model(index);
    if disk.bus == "virtio" && model != "virtio" {
        disk.file.element.set("@model", model);
    }
    let [unit, channel, id, lun] = ["unit", "channel", "scsi-id", "lun"].map(|name| draft.number::<usize>(index, name));
    let kinds: &[&str] = if disk.bus == "ide" { &["ide", "sata"] } else { &["scsi"] };
    let on = draft.controller(index, kinds).map(|(controller, bus)| (controller.kind, controller.number, bus));
    match (disk.bus.as_str(), on) {
        // To QEMU each port is a separate bus.
        ("ide", Some(("sata", number, port))) => {
            disk.bus = "sata".into();
            disk.place = DiskAddress { controller: Some(number), unit: port, ..DiskAddress::default() };
        }
        ("ide", on) => disk.place = DiskAddress { bus: on.and_then(|(.., bus)| bus), unit, ..DiskAddress::default() },
        ("scsi", on) => {
            let controller = on.map(|(_, number, _)| number);
            let is_narrow = controllers.scsi.get(controller.unwrap_or(0)).is_some_and(|model| !model.starts_with("virtio"));
            // On a narrow (old) controller libvirt's unit is QEMU's SCSI id.
            let (target, unit) = if is_narrow { (None, id.or(lun)) } else { (id, lun) };
            disk.place = DiskAddress { controller, bus: channel, target, unit, index: None };
        }
        _ => disk.place.unit = unit,
    }
    if on.is_some() {
        draft.take(index, "bus");
    }
    draft.write_controller(index, &mut disk.file.element);
    draft.ignore_address(index);
    disk.file.options.push(index);
    draft.native(index, "<disk>");
}

/// The limits of a drive (`bps_rd_max=`, `throttling.bps-read-max=`) or of a group (`x-bps-read-max=`, in JSON below `limits`): `<iotune>`.
fn limit(draft: &mut Draft, index: usize, element: &mut Fragment) {
    for (of, unit) in [("bps", "bytes_sec"), ("iops", "iops_sec")] {
        for (short, long) in [("", "total"), ("_rd", "read"), ("_wr", "write")] {
            for end in ["", "_max", "_max_length"] {
                let names = [format!("{of}{short}{end}"), format!("throttling.{of}-{long}{end}"), format!("x-{of}-{long}{end}")];
                let value = names.iter().chain([&format!("limits.{of}-{long}{end}")]).find_map(|name| draft.take(index, name));
                if let Some(value) = value.filter(|value| value != "0") {
                    element.set(&format!("iotune/{long}_{unit}{end}"), value);
                }
            }
        }
    }
    for name in ["iops_size", "throttling.iops-size", "x-iops-size", "limits.iops-size"] {
        if let Some(size) = draft.take(index, name) {
            element.set("iotune/size_iops_sec", size);
        }
    }
}

/// `cache.direct=` and its like, which replace a part of `cache=` (the table in `qemu-options.hx`).
fn cache_by_parts(draft: &mut Draft, index: usize) {
    let parts = ["cache.writeback", "cache.direct", "cache.no-flush"];
    if parts.iter().all(|name| draft.peek(index, name).is_none()) {
        return;
    }
    let whole = match draft.peek(index, "cache") {
        Some("none" | "off") => [true, true, false],
        Some("unsafe") => [true, false, true],
        Some("directsync") => [false, true, false],
        Some("writethrough") => [false, false, false],
        _ => [true, false, false],
    };
    let [writeback, direct, no_flush] = [0, 1, 2].map(|part| draft.flag(index, parts[part]).unwrap_or(whole[part]));
    let mode = match (writeback, direct, no_flush) {
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
    draft.options[index].set("cache", Some(mode));
}
