//! A disk while it is being converted, and its element.

use std::path::Path;

use super::super::draft::Draft;
use super::super::nodes::File;
use super::super::paths::ImportContext;
use crate::domain::{pci_hostdev, target_letters};
use crate::model::{PciAddress, format_by_name, is_device_by_name};
use crate::xml::Fragment;

/// The address of a disk, as far as the script sets it: `<address type='drive'>`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskAddress {
    pub(super) controller: Option<usize>,
    pub(super) bus: Option<usize>,
    pub(super) target: Option<usize>,
    pub(super) unit: Option<usize>,
    /// `index=`, which counts through the units of a bus.
    pub(super) index: Option<usize>,
}

/// A disk under construction.
pub(super) struct Disk {
    pub(super) file: File,
    pub(super) bus: String,
    pub(super) kind: String,
    pub(super) place: DiskAddress,
    pub(super) transient: bool,
    /// The position of the option: QEMU assigns addresses in this order.
    pub(super) order: usize,
}

impl Disk {
    pub(super) fn new(file: File, bus: &str, kind: &str, order: usize) -> Self {
        Self { file, bus: bus.to_owned(), kind: kind.to_owned(), place: DiskAddress::default(), transient: false, order }
    }
}

/// The address that libvirt derives from a disk's number (`virDomainDiskDefAssignAddress`).
fn derived(bus: &str, number: usize) -> Option<[usize; 4]> {
    match bus {
        "ide" => Some([number / 4, number % 4 / 2, 0, number % 2]),
        "sata" => Some([number / 6, 0, 0, number % 6]),
        "scsi" if number < 7 => Some([0, 0, 0, number]),
        _ => None,
    }
}

/// More disks than QEMU has places for.
const MOST: usize = 26 * 26;

/// Writes the disks as elements.
pub(super) fn write(draft: &mut Draft, disks: Vec<Disk>, around: &ImportContext<'_>) {
    let mut named: Vec<(&str, usize)> = Vec::new();
    for disk in disks {
        let bus = if disk.bus == "floppy" { "fdc" } else { &disk.bus };
        let prefix = match bus {
            "virtio" => "vd",
            "ide" => "hd",
            "fdc" => "fd",
            _ => "sd",
        };
        let wanted = [disk.place.controller, disk.place.bus, disk.place.target, disk.place.unit].map(|part| part.unwrap_or(0));
        // The target name from which libvirt derives this address, if it is free.
        let first = (0..MOST).find(|number| derived(bus, *number) == Some(wanted) || (bus == "fdc" && disk.place.index == Some(*number)));
        let first = first.filter(|number| !named.contains(&(prefix, *number)));
        let number = first.or_else(|| (0..MOST).find(|number| !named.contains(&(prefix, *number)))).unwrap_or(MOST);
        named.push((prefix, number));
        let path = &disk.file.path;
        let kind = if is_device_by_name(path) { "block" } else { "file" };
        let kind = disk.file.element.attribute("type").unwrap_or(kind);
        let mut element = Fragment::new("disk").with("type", kind).with("device", &disk.kind);
        element.set("driver@name", "qemu");
        if let Some(format) = format(draft, &disk, around) {
            element.set("driver@type", format);
        }
        if let Some((address, namespace)) = nvme(path) {
            element.set("@type", "nvme");
            element.set("source@type", "pci");
            element.set("source@managed", "yes");
            element.set("source@namespace", namespace);
            let source = pci_hostdev(address);
            element.push("source", source.at("source/address").cloned().unwrap_or_default());
            draft.notes.push(format!("{address}: libvirt takes this SSD from the host while the guest runs (managed='yes')"));
        } else if !path.is_empty() {
            element.set(if kind == "block" { "source@dev" } else { "source@file" }, path);
        }
        element.set("target@dev", format!("{prefix}{}", target_letters(u32::try_from(number).unwrap_or(0))));
        element.set("target@bus", bus);
        if disk.file.read_only || disk.kind == "cdrom" {
            element.below("readonly");
        }
        if disk.transient {
            element.below("transient");
        }
        element.absorb(disk.file.element);
        let driver = |name: &str| element.at("driver").and_then(|driver| driver.attribute(name)).unwrap_or_default();
        if driver("io") == "native" && !["none", "directsync"].contains(&driver("cache")) {
            draft.notes.push(format!(
                "{path}: aio=native works with cache=none or cache=directsync only, and QEMU refuses it otherwise: io='threads' is written"
            ));
            element.set("driver@io", "threads");
        }
        if ["ide", "sata", "scsi"].contains(&bus) && derived(bus, number) != Some(wanted) {
            let [controller, on, target, unit] = wanted;
            let address = Fragment::new("address").with("type", "drive").with("controller", controller);
            element.push("", address.with("bus", on).with("target", target).with("unit", unit));
        }
        draft.device(element);
        for index in disk.file.options {
            draft.native(index, "<disk>");
        }
    }
}

/// The controller and the namespace of `nvme://ADDRESS/NAMESPACE`.
pub(super) fn nvme(path: &str) -> Option<(PciAddress, u32)> {
    let (address, namespace) = path.strip_prefix("nvme://")?.split_once('/')?;
    Some((address.parse().ok()?, namespace.parse().ok()?))
}

/// QEMU probes a file without a stated format; libvirt does not, and takes it for raw. The guest of a raw disk
/// can write data that looks like another format: if name and content disagree, no format is written,
/// and `domain::of_disks` asks for it.
fn format(draft: &mut Draft, disk: &Disk, around: &ImportContext<'_>) -> Option<String> {
    if !disk.file.format.is_empty() {
        return Some(disk.file.format.clone());
    }
    let path = &disk.file.path;
    if disk.kind == "cdrom" || disk.kind == "lun" || path.is_empty() {
        return Some("raw".to_owned());
    }
    let by_name = if is_device_by_name(path) { Some("raw") } else { format_by_name(Path::new(path)) };
    // To libvirt a LUKS image is raw.
    let content = (around.format)(path).map(|content| if content == "luks" { "raw" } else { content });
    if let Some(content) = content {
        let disagree = content != "raw" && by_name.is_some_and(|by_name| by_name != content);
        return (!disagree).then(|| content.to_owned());
    }
    let is_raw = disk.kind != "disk" || [".img", ".iso", ".bin"].iter().any(|ending| path.ends_with(ending));
    let format = by_name.unwrap_or(if is_raw { "raw" } else { "qcow2" });
    if disk.kind == "disk" {
        draft.notes.push(format!(
            "{path} cannot be read here, and the script does not state its format: '{format}' is assumed. See qemu-img info {path}, and \
             correct <driver type=…>: a wrong format destroys the image"
        ));
    }
    Some(format.to_owned())
}
