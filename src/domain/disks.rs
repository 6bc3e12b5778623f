//! Disks and CDs.

use std::collections::BTreeSet;

use super::devices::{add, number};
use super::hostdevs::named;
use super::spec::{Cdrom, Disk};
use super::{DiskCache, alias};
use crate::xml::{Document, Element, Fragment};

/// Units of an AHCI controller.
const SATA_UNITS: u32 = 6;

/// Makes vgapt's disks exactly these, in this order.
pub(super) fn set_disks(domain: &mut Document, disks: &[Disk]) {
    alias::retain(domain, alias::DISK, |_, rest| rest.parse::<usize>().is_ok_and(|index| index < disks.len()));
    for (index, disk) in disks.iter().enumerate() {
        let name = format!("{}{index}", alias::DISK);
        if alias::find(domain.root(), &name).is_some() {
            change(domain, &name, disk);
        } else {
            ensure_scsi_controller(domain);
            let target = free_target(domain.root());
            add(domain, &new_disk(disk, &name, &target));
        }
    }
}

/// Only what the request speaks of: where the disk lies, and its format.
fn change(domain: &mut Document, name: &str, disk: &Disk) {
    let (kind, attribute) = if disk.is_block() { ("block", "dev") } else { ("file", "file") };
    let other = if disk.is_block() { "file" } else { "dev" };
    let set = |domain: &mut Document, child: Option<&str>, attribute: &str, value: Option<&str>| {
        let Some(device) = alias::find(domain.root(), name) else { return };
        let Some(id) = child.map_or(Some(device), |child| domain.element(device).child(child).map(Element::id)) else { return };
        match value {
            Some(value) => domain.set_attribute(id, attribute, value),
            None => domain.remove_attribute(id, attribute),
        }
    };
    set(domain, None, "type", Some(kind));
    set(domain, Some("driver"), "type", Some(&disk.format));
    set(domain, Some("source"), other, None);
    set(domain, Some("source"), attribute, Some(&disk.path));
}

/// What the guest gives back is given back to the host; a disk past the page cache is read and
/// written as the kernel does it itself, which it does for whole blocks only: raw ones.
fn driver(disk: &Disk) -> Fragment {
    let driver = Fragment::new("driver").with("name", "qemu").with("type", &disk.format).with("cache", disk.cache.word());
    let is_direct = matches!(disk.cache, DiskCache::None | DiskCache::Directsync);
    let driver = if is_direct && disk.format == "raw" { driver.with("io", "native") } else { driver };
    driver.with("discard", "unmap")
}

fn new_disk(disk: &Disk, name: &str, target: &str) -> Fragment {
    let (kind, attribute) = if disk.is_block() { ("block", "dev") } else { ("file", "file") };
    Fragment::new("disk")
        .with("type", kind)
        .with("device", "disk")
        .child(driver(disk))
        .child(Fragment::new("source").with(attribute, &disk.path))
        .child(Fragment::new("target").with("dev", target).with("bus", "scsi"))
        .child(named(name))
}

/// Puts a CD in, changes its image, or takes it out.
pub(super) fn set_cdrom(domain: &mut Document, cdrom: &Cdrom) {
    let name = format!("{}{}", alias::CDROM, cdrom.alias);
    let drive = alias::find(domain.root(), &name);
    match (drive, &cdrom.image) {
        (None, None) => {}
        (Some(drive), None) => domain.remove(drive),
        (Some(drive), Some(image)) => match domain.element(drive).child("source").map(Element::id) {
            Some(source) => domain.set_attribute(source, "file", image),
            // Somebody took the disc out; a new one goes in.
            None => domain.append(drive, &Fragment::new("source").with("file", image)),
        },
        (None, Some(image)) => {
            let unit = free_unit(domain.root(), cdrom.unit);
            let address =
                Fragment::new("address").with("type", "drive").with("controller", 0).with("bus", 0).with("target", 0).with("unit", unit);
            let drive = Fragment::new("disk")
                .with("type", "file")
                .with("device", "cdrom")
                .child(Fragment::new("driver").with("name", "qemu").with("type", "raw"))
                .child(Fragment::new("source").with("file", image))
                .child(Fragment::new("target").with("dev", free_target(domain.root())).with("bus", "sata"))
                .child(Fragment::new("readonly"))
                .child(named(&name))
                .child(address);
            add(domain, &drive);
        }
    }
}

/// The file or device of a disk.
pub(super) fn source_path(disk: Element<'_>) -> Option<String> {
    let source = disk.child("source")?;
    source.attribute("file").or_else(|| source.attribute("dev")).map(std::borrow::Cow::into_owned)
}

/// The format that a domain states of the disk at a path; `None` where it has no such disk.
pub(super) fn stated_format(domain: Element<'_>, path: &str) -> Option<String> {
    let of_disk = |disk: &Element<'_>| disk.attribute("device").is_none_or(|device| matches!(&*device, "disk" | "lun"));
    let disk = disks(domain).filter(of_disk).find(|disk| source_path(*disk).as_deref() == Some(path))?;
    Some(disk.child("driver")?.attribute("type")?.into_owned())
}

fn disks(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.child("devices").into_iter().flat_map(|devices| devices.children_named("disk"))
}

/// The first of `sda`, `sdb`, …, `sdz`, `sdaa`, … that no disk has.
fn free_target(domain: Element<'_>) -> String {
    let taken: BTreeSet<String> = disks(domain).filter_map(|disk| Some(disk.child("target")?.attribute("dev")?.into_owned())).collect();
    let letters = || (b'a'..=b'z').map(char::from);
    let short = letters().map(|letter| format!("sd{letter}"));
    let long = letters().flat_map(|first| letters().map(move |second| format!("sd{first}{second}")));
    short.chain(long).find(|name| !taken.contains(name)).unwrap_or_else(|| "sdzz".into())
}

/// The unit on the first SATA controller if it is free, else the first free one.
fn free_unit(domain: Element<'_>, wanted: u32) -> u32 {
    let on_sata = |disk: &Element<'_>| disk.child("target").is_some_and(|target| target.attribute("bus").as_deref() == Some("sata"));
    let unit = |disk: Element<'_>| match disk.child("address") {
        Some(address) => number(address, "unit"),
        // libvirt gives a disk without an address the unit of its name's letter.
        None => disk.child("target")?.attribute("dev")?.bytes().last().map(|letter| u32::from(letter.saturating_sub(b'a'))),
    };
    let taken: BTreeSet<u32> = disks(domain).filter(on_sata).filter_map(unit).collect();
    std::iter::once(wanted).chain(0..SATA_UNITS).find(|unit| !taken.contains(unit)).unwrap_or(wanted)
}

fn ensure_scsi_controller(domain: &mut Document) {
    let is_scsi = |controller: Element<'_>| controller.attribute("type").as_deref() == Some("scsi");
    let has_one = domain.root().child("devices").is_some_and(|devices| devices.children_named("controller").any(is_scsi));
    if !has_one {
        add(
            domain,
            &Fragment::new("controller").with("type", "scsi").with("index", 0).with("model", "virtio-scsi").child(named(alias::SCSI)),
        );
    }
}
