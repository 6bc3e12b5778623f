//! Disks and CDs.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::Draft;
use crate::domain::alias;
use crate::domain::base::Base;
use crate::domain::decide::kept::present;
use crate::domain::edit::{Change, Edit, Part};
use crate::domain::request::Request;
use crate::domain::request::extras::{DiskCache, DiskDiscard};
use crate::domain::spec::{Cdrom, Disk};
use crate::domain_xml::{self, device_with_alias, devices, devices_named, disks, number};
use crate::model::{Files, format_by_name};
use crate::xml::{Document, Element, Fragment};

/// Units of an AHCI controller.
const SATA_UNITS: u32 = 6;
/// Disks that libvirt's QEMU driver puts on one SCSI controller by the letters of their names
/// (`virDomainDiskDefAssignAddress`, a bus that is not wide).
const SCSI_UNITS: u32 = 7;
/// The sectors of disks that QEMU has to be told of: by itself it shows the guest 512 bytes.
const LARGE_SECTOR: u32 = 4096;
/// Upper bound for the search; more disks than any domain has.
const MOST: u32 = 100_000;
/// Upper bound for the search; more controllers than any domain has.
const CONTROLLERS: u32 = 64;

/// Which options of the disks a request changes; these are written over what the domain says. And what was asked for before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed {
    cache: bool,
    discard: bool,
    cache_before: Option<DiskCache>,
    discard_before: DiskDiscard,
}

impl Changed {
    pub(crate) fn of(base: &Base) -> Self {
        let discard = |request: &Request| (request.extras.disk_discard, request.extras.detect_zeroes);
        let before = base.last.as_ref().map(|last| &last.request.extras);
        Self {
            cache: base.differs(|request| request.extras.disk_cache),
            discard: base.differs(discard),
            cache_before: before.and_then(|extras| extras.disk_cache),
            discard_before: before.and_then(|extras| extras.disk_discard).unwrap_or_default(),
        }
    }
}

/// The disks to write: those of the request if it changes the disks; if it changes only their options, those that
/// the domain has now.
pub(crate) fn wanted(base: &Base, wanted: &Request, files: &Files) -> Option<Vec<Disk>> {
    if base.differs(|request| request.disk.clone()) {
        return Some(wanted.disk.iter().map(|path| disk(path, base, wanted, files)).collect());
    }
    let format_differs = wanted.extras.disk_format.is_some() && base.differs(|request| request.extras.disk_format);
    let Changed { cache, discard, .. } = Changed::of(base);
    let now = (format_differs || cache || discard).then(|| present(&base.domain, wanted).0.disk)?;
    // A disk that was removed manually, or has another kind of source now, is not added again as a side effect.
    (now.len() == wanted.disk.len()).then(|| now.iter().map(|path| disk(path, base, wanted, files)).collect())
}

/// A disk with its format: the requested format, else the one stated in the domain, else raw for a block
/// device or a file named so, else the format of its content. `checks::files::disk` reports if
/// name and content disagree.
fn disk(path: &str, base: &Base, wanted: &Request, files: &Files) -> Disk {
    let stated = wanted.extras.disk_format.map(|format| format.word().to_owned());
    let stated = stated.or_else(|| stated_format(&base.domain, path));
    let is_block_device = files.is_block_device(path);
    let by_name = if is_block_device { Some("raw") } else { format_by_name(Path::new(path)) };
    // For libvirt, a LUKS disk has the format raw.
    let by_content = files.of(path).and_then(|facts| facts.format.as_deref()).map(|format| if format == "luks" { "raw" } else { format });
    let concluded = match (by_name, by_content) {
        (Some("raw"), _) => "raw",
        (_, Some(content)) => content,
        // The name does not tell: use the guide's format.
        (by_name, None) => by_name.unwrap_or("qcow2"),
    };
    let cache = wanted.extras.disk_cache.unwrap_or_else(|| usual_cache(is_block_device));
    let is_stated = stated.is_some();
    let format = stated.unwrap_or_else(|| concluded.to_owned());
    // An image of another format on a device has sectors of its own.
    let shows_device = is_block_device && format == "raw";
    Disk {
        path: path.to_owned(),
        is_block_device,
        has_large_sectors: shows_device && files.of(path).and_then(|facts| facts.sector) == Some(LARGE_SECTOR),
        cache,
        is_stated,
        format,
        discard: wanted.extras.disk_discard.unwrap_or_default(),
        detect_zeroes: wanted.extras.detect_zeroes.unwrap_or_default(),
    }
}

/// The default for a device is none; the default for a file is the guide's.
fn usual_cache(is_block_device: bool) -> DiskCache {
    if is_block_device { DiskCache::None } else { DiskCache::Writeback }
}

/// The format that a domain states of the disk at a path; `None` where it has no such disk.
fn stated_format(domain: &Document, path: &str) -> Option<String> {
    let mut disks = disks(domain.root()).filter(|disk| matches!(disk.kind.as_str(), "disk" | "lun"));
    disks.find(|disk| disk.path() == Some(path))?.format
}

/// Sets vgapt's disks to exactly these, in this order. Of a disk that exists, path and format are written, the options that the
/// request changes, and those that another path or format changes.
pub(crate) fn set(draft: &mut Draft, disks: &[Disk], changed: Changed) {
    draft.retain(Part::Disks, alias::DISK, |_, rest| rest.parse::<usize>().is_ok_and(|index| index < disks.len()));
    for (index, disk) in disks.iter().enumerate() {
        let name = format!("{}{index}", alias::DISK);
        if device_with_alias(draft.root(), &name).is_none() {
            let target = free_scsi_target(draft.root());
            ensure_scsi_controllers(draft, index_of(&target).map_or(0, |index| scsi_place(index).0));
            draft.apply(Edit::insert(Part::Disks, new_disk(disk, &name, &target)));
        }
        let options = device_with_alias(draft.root(), &name).map(|now| written(disk, &domain_xml::Disk::of(now), changed));
        let options = options.into_iter().flatten();
        put_kind(draft, &name, disk.is_block_device);
        let put = Edit::device(Part::Disks, &name, "driver");
        draft.apply(options.fold(put, |edit, (name, value)| edit.with_or_without(name, value)));
        put_sectors(draft, &name, disk);
        put_source(draft, &name, disk.is_block_device, &disk.path);
    }
}

/// The type of a disk or CD, and the attribute of its source.
fn kind(is_block_device: bool) -> (&'static str, &'static str) {
    if is_block_device { ("block", "dev") } else { ("file", "file") }
}

fn put_kind(draft: &mut Draft, name: &str, is_block_device: bool) {
    draft.apply(Edit::device(Part::Disks, name, "").with("type", kind(is_block_device).0));
}

fn put_source(draft: &mut Draft, name: &str, is_block_device: bool, path: &str) {
    let ((_, attribute), (_, other)) = (kind(is_block_device), kind(!is_block_device));
    draft.apply(Edit::device(Part::Disks, name, "source").with_or_without(other, None::<&str>).with(attribute, path));
}

/// The attributes of its `<driver>` that are written into the disk that is there. With another file those are written again that are
/// as vgapt wrote them; another format changes only what depends on the format.
fn written<'a>(disk: &'a Disk, now: &domain_xml::Disk<'_>, changed: Changed) -> Vec<DriverOption<'a>> {
    let is_other = now.path() != Some(&disk.path);
    let has_other_format = now.format.as_deref() != Some(&disk.format);
    let there = |name: &str| now.element.child("driver")?.attribute(name);
    let cache_before =
        changed.cache_before.unwrap_or_else(|| usual_cache(now.element.attribute("type").is_some_and(|kind| kind == "block")));
    let is_ours = |name: &str, ours: &str| is_other && there(name).is_some_and(|value| value == ours);
    let sets_cache = changed.cache || is_ours("cache", cache_before.word());
    let sets_discard = changed.discard || is_ours("discard", discard_word(changed.discard_before));
    let is_direct = if sets_cache { is_direct(disk.cache.word()) } else { there("cache").is_some_and(|cache| is_direct(&cache)) };
    let is_written = |name| match name {
        "type" => true,
        "cache" => sets_cache,
        "io" => sets_cache || has_other_format,
        "discard_no_unref" => sets_discard || has_other_format,
        _ => sets_discard,
    };
    driver(disk, is_direct).into_iter().filter(|(name, _)| is_written(*name)).collect()
}

/// Whether a cache mode bypasses the host's page cache.
fn is_direct(cache: &str) -> bool {
    [DiskCache::None, DiskCache::Directsync].iter().any(|direct| direct.word() == cache)
}

/// An attribute of a `<driver>`; without a value it is not there.
type DriverOption<'a> = (&'static str, Option<&'a str>);

/// The attributes of its `<driver>`. QEMU takes native AIO only where the page cache is bypassed (`cache.direct=on`: `raw_open_common`
/// in its `block/file-posix.c`), whatever the format; vgapt writes it for raw disks, and others keep QEMU's threads.
fn driver(disk: &Disk, is_direct: bool) -> [DriverOption<'_>; 6] {
    let is_passed_on = disk.discard.is_passed_on();
    // libvirt refuses it for other formats (virDomainDiskDefValidate).
    let keeps = disk.discard == DiskDiscard::KeepReserved && disk.format == "qcow2";
    [
        ("type", Some(&disk.format)),
        ("cache", Some(disk.cache.word())),
        ("io", (is_direct && disk.format == "raw").then_some("native")),
        ("discard", Some(discard_word(disk.discard))),
        ("detect_zeroes", disk.detect_zeroes.then_some(if is_passed_on { "unmap" } else { "on" })),
        ("discard_no_unref", keeps.then_some("on")),
    ]
}

fn discard_word(discard: DiskDiscard) -> &'static str {
    if discard.is_passed_on() { "unmap" } else { "ignore" }
}

/// Another disk has other sectors. Of the same one they stay as the guest knows them: it finds its partitions by them.
fn put_sectors(draft: &mut Draft, name: &str, disk: &Disk) {
    let put = Edit::device(Part::Disks, name, "blockio");
    let is_other = device_with_alias(draft.root(), name).is_some_and(|now| domain_xml::Disk::of(now).path() != Some(&disk.path));
    match (is_other, disk.has_large_sectors) {
        (false, _) => {}
        (true, true) => {
            draft.apply(put.with("logical_block_size", LARGE_SECTOR).with("physical_block_size", LARGE_SECTOR));
        }
        (true, false) => draft.apply(Edit { change: Change::Remove, ..put }),
    }
}

fn large_sectors() -> Fragment {
    Fragment::new("blockio").with("logical_block_size", LARGE_SECTOR).with("physical_block_size", LARGE_SECTOR)
}

fn new_disk(disk: &Disk, name: &str, target: &str) -> Fragment {
    let (kind, attribute) = kind(disk.is_block_device);
    let options = driver(disk, is_direct(disk.cache.word())).into_iter().filter_map(|(name, value)| Some((name, value?)));
    let driver = options.fold(Fragment::new("driver").with("name", "qemu"), |driver, (name, value)| driver.with(name, value));
    Fragment::new("disk")
        .with("type", kind)
        .with("device", "disk")
        .child(driver)
        .child(Fragment::new("source").with(attribute, &disk.path))
        .child_if(disk.has_large_sectors.then(large_sectors))
        .child(Fragment::new("target").with("dev", target).with("bus", "scsi"))
        .child(alias::element(name))
}

/// Adds a CD drive, changes its image, or removes it.
pub(crate) fn set_cdrom(draft: &mut Draft, cdrom: &Cdrom) {
    let name = format!("{}{}", alias::CDROM, cdrom.alias);
    let Some(image) = &cdrom.image else {
        draft.retain(Part::Disks, &name, |_, rest| !rest.is_empty());
        return;
    };
    if device_with_alias(draft.root(), &name).is_none() {
        let (kind, attribute) = kind(cdrom.is_block_device);
        let (controller, unit) = free_unit(draft.root(), cdrom.unit);
        let address = Fragment::new("address").with("type", "drive").with("controller", controller);
        let address = address.with("bus", 0).with("target", 0).with("unit", unit);
        let drive = Fragment::new("disk")
            .with("type", kind)
            .with("device", "cdrom")
            .child(Fragment::new("driver").with("name", "qemu").with("type", "raw"))
            .child(Fragment::new("source").with(attribute, image))
            .child(Fragment::new("target").with("dev", free_target(draft.root())).with("bus", "sata"))
            .child(Fragment::new("readonly"))
            .child(alias::element(&name))
            .child(address);
        draft.apply(Edit::insert(Part::Disks, drive));
    }
    // If the disc was ejected, this inserts the new one.
    put_kind(draft, &name, cdrom.is_block_device);
    put_source(draft, &name, cdrom.is_block_device, image);
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
    format!("sd{}", target_letters(index))
}

/// What follows `sd` or `vd` in it: `a`, …, `z`, `aa`, …
pub fn target_letters(index: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        letters.push(char::from(b'a' + u8::try_from((rest - 1) % 26).unwrap_or_default()));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
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

/// Adds what is missing of the controllers up to this one: libvirt adds them too (`virDomainDefAddDiskControllersForType`), but on
/// x86 as the emulated lsilogic. They are driven as the first one is.
fn ensure_scsi_controllers(draft: &mut Draft, last: u32) {
    let there = scsi_controllers(draft.root());
    let is_virtio = |controller: &Element<'_>| controller.attribute("model").as_deref() == Some("virtio-scsi");
    let driver = devices_named(draft.root(), "controller").find(is_virtio).and_then(|first| Some(copy(first.child("driver")?)));
    for index in (0..=last).filter(|index| !there.contains(index)) {
        let controller = Fragment::new("controller").with("type", "scsi").with("index", index).with("model", "virtio-scsi");
        let name = if index == 0 { alias::SCSI.to_owned() } else { format!("{}-{index}", alias::SCSI) };
        draft.apply(Edit::insert(Part::Disks, controller.child_if(driver.clone()).child(alias::element(&name))));
    }
}

/// The indexes of the SCSI controllers; libvirt gives one without an index the first free one.
fn scsi_controllers(domain: Element<'_>) -> BTreeSet<u32> {
    let scsi = devices_named(domain, "controller").filter(|controller| controller.attribute("type").as_deref() == Some("scsi"));
    let indexes: Vec<Option<u32>> = scsi.map(|controller| number(controller, "index")).collect();
    let mut taken: BTreeSet<u32> = indexes.iter().flatten().copied().collect();
    for _ in indexes.iter().filter(|index| index.is_none()) {
        taken.extend((0..=MOST).find(|index| !taken.contains(index)));
    }
    taken
}

/// A copy of an element without a text.
fn copy(element: Element<'_>) -> Fragment {
    let attributes = element.attribute_names().filter_map(|name| Some((name, element.attribute(name)?)));
    let copied = attributes.fold(Fragment::new(element.name()), |copied, (name, value)| copied.with(name, value));
    element.children().map(copy).fold(copied, Fragment::child)
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
