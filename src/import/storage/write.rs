//! Writes the disks as elements.

use std::path::Path;

use super::super::draft::Draft;
use super::super::surroundings::ImportContext;
use super::disk::Disk;
use super::place::derived;
use crate::model::format_by_name;
use crate::xml::Fragment;

pub(super) fn write(draft: &mut Draft, disks: Vec<Disk>, around: &ImportContext<'_>) {
    let mut named: Vec<(&str, usize)> = Vec::new();
    for disk in disks {
        let bus = match disk.bus.as_str() {
            "floppy" => "fdc",
            other => other,
        };
        let prefix = match bus {
            "virtio" => "vd",
            "ide" => "hd",
            "fdc" => "fd",
            _ => "sd",
        };
        let [controller, on, target, unit] =
            [disk.place.controller, disk.place.bus, disk.place.target, disk.place.unit].map(|part| part.unwrap_or(0));
        let wanted = [controller, on, target, unit];
        // The target name from which libvirt derives this address, if it is free.
        let first = (0..26).find(|number| derived(bus, *number) == Some(wanted) || (bus == "fdc" && disk.place.index == Some(*number)));
        let first = first.filter(|number| !named.contains(&(prefix, *number)));
        let number = first.or_else(|| (0..26).find(|number| !named.contains(&(prefix, *number)))).unwrap_or(25);
        named.push((prefix, number));
        let letter = char::from(b'a' + u8::try_from(number).unwrap_or(25));
        let is_block = disk.file.path.starts_with("/dev/");
        let (kind, attribute) = if is_block { ("block", "dev") } else { ("file", "file") };
        let format = format(draft, &disk, around);
        let named = Fragment::new("driver").with("name", "qemu");
        let mut driver = format.iter().fold(named, |driver, format| driver.with("type", format));
        let cache = disk.file.cache.map(|cache| ("cache", cache.to_owned()));
        let io = disk.file.aio.clone().map(|io| ("io", io));
        let discard = disk.file.discard.clone().map(|discard| ("discard", if discard == "on" { "unmap".into() } else { discard }));
        let mut said: Vec<&str> = Vec::new();
        for (name, value) in disk.driver.iter().cloned().chain(cache).chain(io).chain(discard) {
            if !said.contains(&name) {
                driver = driver.with(name, value);
                said.push(name);
            }
        }
        let mut element = Fragment::new("disk").with("type", kind).with("device", &disk.kind).child(driver);
        if !disk.file.path.is_empty() {
            element = element.child(Fragment::new("source").with(attribute, &disk.file.path));
        }
        let named = Fragment::new("target").with("dev", format!("{prefix}{letter}")).with("bus", bus);
        element = element.child(disk.target.iter().fold(named, |target, (name, value)| target.with(name, value)));
        element = element.child_if((disk.file.read_only || disk.kind == "cdrom").then(|| Fragment::new("readonly")));
        element = element.child_if(disk.transient.then(|| Fragment::new("transient")));
        element = disk.more.into_iter().fold(element, Fragment::child);
        if ["ide", "sata", "scsi"].contains(&bus) && derived(bus, number) != Some(wanted) {
            let address = Fragment::new("address").with("type", "drive").with("controller", controller);
            element = element.child(address.with("bus", on).with("target", target).with("unit", unit));
        }
        draft.device(element);
        for index in disk.file.options {
            draft.native(index, "<disk>");
        }
    }
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
    let by_name = if path.starts_with("/dev/") { Some("raw") } else { format_by_name(Path::new(path)) };
    // To libvirt a LUKS image is raw.
    let content = (around.format)(path).map(|content| if content == "luks" { "raw" } else { content });
    if let Some(content) = content {
        let disagree = content != "raw" && by_name.is_some_and(|by_name| by_name != content);
        return (!disagree).then(|| content.to_owned());
    }
    let format = guessed(path, &disk.kind);
    if disk.kind == "disk" {
        draft.notes.push(format!(
            "{path} cannot be read here, and the script does not state its format: '{format}' is assumed. See qemu-img info {path}, and \
             correct <driver type=…>: a wrong format destroys the image"
        ));
    }
    Some(format.to_owned())
}

/// The format that a file name suggests.
fn guessed(path: &str, kind: &str) -> &'static str {
    let is_raw = kind != "disk" || path.starts_with("/dev/") || [".img", ".iso", ".bin"].iter().any(|ending| path.ends_with(ending));
    format_by_name(Path::new(path)).unwrap_or(if is_raw { "raw" } else { "qcow2" })
}
