//! Disks and CDs.

use std::collections::BTreeSet;

use super::devices::{add, retain};
use crate::domain::alias;
use crate::domain::request::extras::DiskCache;
use crate::domain::spec::{Cdrom, Disk};
use crate::domain_xml::{self, device_with_alias, devices, devices_named, disks, number};
use crate::xml::{Document, Element, Fragment};

/// Units of an AHCI controller.
const SATA_UNITS: u32 = 6;
/// Disks that libvirt's QEMU driver puts on one SCSI controller by the letters of their names
/// (`virDomainDiskDefAssignAddress`, a bus that is not wide).
const SCSI_UNITS: u32 = 7;
/// Upper bound for the search; more disks than any domain has.
const MOST: u32 = 100_000;
/// Upper bound for the search; more controllers than any domain has.
const CONTROLLERS: u32 = 64;

/// Sets vgapt's disks to exactly these, in this order.
pub(super) fn set_disks(domain: &mut Document, disks: &[Disk]) {
    retain(domain, alias::DISK, |_, rest| rest.parse::<usize>().is_ok_and(|index| index < disks.len()));
    for (index, disk) in disks.iter().enumerate() {
        let name = format!("{}{index}", alias::DISK);
        if device_with_alias(domain.root(), &name).is_some() {
            change(domain, &name, disk);
        } else {
            ensure_scsi_controller(domain);
            let target = free_scsi_target(domain.root());
            add(domain, &new_disk(disk, &name, &target));
        }
    }
}

/// Changes only what the request covers: the path of the disk and its format.
fn change(domain: &mut Document, name: &str, disk: &Disk) {
    let (kind, attribute) = if disk.is_block() { ("block", "dev") } else { ("file", "file") };
    let other = if disk.is_block() { "file" } else { "dev" };
    let set = |domain: &mut Document, child: Option<&str>, attribute: &str, value: Option<&str>| {
        let Some(device) = device_with_alias(domain.root(), name).map(Element::id) else { return };
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

/// Discards of the guest are passed on to the host. A disk that bypasses the page cache uses native AIO, which
/// works with whole blocks only, hence with raw disks.
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
        .child(alias::element(name))
}

/// Adds a CD drive, changes its image, or removes it.
pub(super) fn set_cdrom(domain: &mut Document, cdrom: &Cdrom) {
    let name = format!("{}{}", alias::CDROM, cdrom.alias);
    let drive = device_with_alias(domain.root(), &name).map(Element::id);
    match (drive, &cdrom.image) {
        (None, None) => {}
        (Some(drive), None) => domain.remove(drive),
        (Some(drive), Some(image)) => match domain.element(drive).child("source").map(Element::id) {
            Some(source) => domain.set_attribute(source, "file", image),
            // The disc was ejected; insert the new one.
            None => domain.append(drive, &Fragment::new("source").with("file", image)),
        },
        (None, Some(image)) => {
            let (controller, unit) = free_unit(domain.root(), cdrom.unit);
            let address = Fragment::new("address").with("type", "drive").with("controller", controller);
            let address = address.with("bus", 0).with("target", 0).with("unit", unit);
            let drive = Fragment::new("disk")
                .with("type", "file")
                .with("device", "cdrom")
                .child(Fragment::new("driver").with("name", "qemu").with("type", "raw"))
                .child(Fragment::new("source").with("file", image))
                .child(Fragment::new("target").with("dev", free_target(domain.root())).with("bus", "sata"))
                .child(Fragment::new("readonly"))
                .child(alias::element(&name))
                .child(address);
            add(domain, &drive);
        }
    }
}

/// The first of `sda`, `sdb`, …, `sdz`, `sdaa`, … that is not in use.
fn free_target(domain: Element<'_>) -> String {
    let taken = targets(domain);
    (0..=MOST).map(target).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// The first such name whose place on the controller is free: libvirt derives the address of a disk without one from
/// its target name.
fn free_scsi_target(domain: Element<'_>) -> String {
    let taken = targets(domain);
    let places = scsi_places(domain);
    let is_free = |index: &u32| !taken.contains(&target(*index)) && !places.contains(&scsi_place(*index));
    (0..=MOST).find(is_free).map(target).unwrap_or_default()
}

fn targets(domain: Element<'_>) -> BTreeSet<String> {
    disks(domain).filter_map(|disk| disk.target).collect()
}

/// The name with this number, counted from 0.
fn target(index: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        letters.push(char::from(b'a' + u8::try_from((rest - 1) % 26).unwrap_or_default()));
        rest = (rest - 1) / 26;
    }
    format!("sd{}", letters.iter().rev().collect::<String>())
}

/// The index in the target name of any kind of disk: 2 for `hdc`.
fn index_of(target: &str) -> Option<u32> {
    let letters = target.get(2..).filter(|letters| !letters.is_empty())?;
    letters
        .bytes()
        .try_fold(0_u32, |index, letter| {
            letter.is_ascii_lowercase().then(|| index.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1))?
        })?
        .checked_sub(1)
}

/// Controller and unit of a SCSI disk without an address.
fn scsi_place(index: u32) -> (u32, u32) {
    (index / SCSI_UNITS, index % SCSI_UNITS)
}

/// The places of SCSI disks and passed SCSI devices.
fn scsi_places(domain: Element<'_>) -> BTreeSet<(u32, u32)> {
    let on_scsi = devices(domain).filter(|device| match device.name() {
        "disk" => domain_xml::Disk::of(*device).bus.as_deref() == Some("scsi"),
        "hostdev" => device.attribute("type").as_deref() == Some("scsi"),
        _ => false,
    });
    on_scsi.filter_map(|device| place(device, scsi_place)).collect()
}

/// Controller and unit of a disk: by its address, else by its name.
fn place(disk: Element<'_>, by_name: impl Fn(u32) -> (u32, u32)) -> Option<(u32, u32)> {
    match disk.child("address").filter(|address| address.attribute("type").as_deref() == Some("drive")) {
        Some(address) => Some((number(address, "controller").unwrap_or_default(), number(address, "unit").unwrap_or_default())),
        None => Some(by_name(index_of(&disk.child("target")?.attribute("dev")?)?)),
    }
}

/// A place on a SATA controller: the wanted unit of the first controller if it is free, else the first free one.
fn free_unit(domain: Element<'_>, wanted: u32) -> (u32, u32) {
    let on_sata = disks(domain).filter(|disk| disk.bus.as_deref() == Some("sata"));
    let taken: BTreeSet<(u32, u32)> =
        on_sata.filter_map(|disk| place(disk.element, |index| (index / SATA_UNITS, index % SATA_UNITS))).collect();
    let all = (0..CONTROLLERS).flat_map(|controller| (0..SATA_UNITS).map(move |unit| (controller, unit)));
    std::iter::once((0, wanted)).chain(all).find(|place| !taken.contains(place)).unwrap_or((0, wanted))
}

fn ensure_scsi_controller(domain: &mut Document) {
    let is_scsi = |controller: Element<'_>| controller.attribute("type").as_deref() == Some("scsi");
    let has_one = devices_named(domain.root(), "controller").any(is_scsi);
    if !has_one {
        add(
            domain,
            &Fragment::new("controller")
                .with("type", "scsi")
                .with("index", 0)
                .with("model", "virtio-scsi")
                .child(alias::element(alias::SCSI)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_numbers() {
        for (index, name) in [(0, "sda"), (25, "sdz"), (26, "sdaa"), (701, "sdzz"), (702, "sdaaa")] {
            assert_eq!((target(index).as_str(), index_of(name)), (name, Some(index)));
        }
        assert_eq!(
            (index_of("hdc"), index_of("sd"), index_of("é"), index_of("sd1"), index_of("sdzzzzzzzzzzzz")),
            (Some(2), None, None, None, None)
        );
        assert_eq!((scsi_place(6), scsi_place(7), scsi_place(15)), ((0, 6), (1, 0), (2, 1)));
    }
}
