//! The host resources of a domain that no other domain can use at the same time: disks, PCI functions,
//! USB devices, mediated devices, shared folders; from libvirt's elements and from the options
//! in `qemu:commandline`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::commandline::{self, drives, text};
use super::devices::devices;
use super::disks::{Disk, Source};
use super::hostdevs::{HostDevice, host_device};
use crate::model::{Host, PciAddress, UsbId, parse_number};
use crate::xml::{Document, Element};

/// The host resources that a domain uses exclusively.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExclusiveResources {
    pub functions: BTreeSet<PciAddress>,
    pub usb: BTreeSet<UsbId>,
    pub mediated: BTreeSet<String>,
    /// The disks that it writes to: files, block devices, volumes (`pool/volume`).
    pub disks: BTreeSet<String>,
    /// The disks that may have a backing file; a raw disk has none, even if its guest writes a header.
    pub overlays: BTreeSet<String>,
    pub folders: BTreeSet<String>,
    /// What could not be parsed or determined.
    pub unknown: Vec<String>,
}

/// The resources of a domain. The host is needed to resolve USB devices that are given by port.
pub fn taken(domain: &Document, host: &Host) -> ExclusiveResources {
    let mut taken = ExclusiveResources::default();
    for device in devices(domain.root()) {
        match device.name() {
            "hostdev" | "interface" => taken.host_device(device, host),
            "disk" => taken.disk(&Disk::of(device)),
            "filesystem" => {
                taken.folders.extend(device.child("source").and_then(|source| source.attribute("dir")).map(|path| folder(&path)));
            }
            _ => {}
        }
    }
    for device in commandline::devices(domain) {
        match device {
            Ok(device) => taken.qemu_device(&device, host),
            Err(what) => taken.unknown.push(what),
        }
    }
    let by_options = drives(domain);
    taken.unknown.extend(by_options.unknown);
    taken.functions.extend(by_options.nvme.iter().filter_map(|address| address.parse::<PciAddress>().ok()));
    for drive in by_options.images.into_iter().filter(|drive| !drive.read_only) {
        taken.written(drive.file, drive.format.as_deref());
    }
    taken
}

/// The host's PCI functions that a domain passes through in any way.
pub fn functions(domain: &Document) -> BTreeSet<PciAddress> {
    // The host is needed for USB devices only.
    taken(domain, &Host::default()).functions
}

/// The same, if all of them are known.
///
/// # Errors
/// If an option in `qemu:commandline` cannot be parsed, so that it may pass another function through.
pub fn all_functions(domain: &Document) -> Result<BTreeSet<PciAddress>, String> {
    let unknown = commandline::devices(domain).into_iter().find_map(Result::err).or(drives(domain).unknown.pop());
    unknown.map_or_else(|| Ok(functions(domain)), Err)
}

/// A folder's path, without a slash at its end.
fn folder(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

impl ExclusiveResources {
    /// The resources that are new compared with `before`; all of them for a new domain.
    #[must_use]
    pub fn without(self, before: &Self, is_new: bool) -> Self {
        if is_new {
            return self;
        }
        let disks: BTreeSet<String> = self.disks.difference(&before.disks).cloned().collect();
        let new = |now: BTreeSet<String>, before: &BTreeSet<String>| now.difference(before).cloned().collect();
        Self {
            functions: self.functions.difference(&before.functions).copied().collect(),
            usb: self.usb.difference(&before.usb).copied().collect(),
            mediated: new(self.mediated, &before.mediated),
            overlays: self.overlays.intersection(&disks).cloned().collect(),
            disks,
            folders: new(self.folders, &before.folders),
            unknown: self.unknown,
        }
    }

    fn host_device(&mut self, device: Element<'_>, host: &Host) {
        match host_device(device) {
            Some(HostDevice::Function(function)) => self.functions.extend([function]),
            Some(HostDevice::Usb(id)) => self.usb.extend([id]),
            Some(HostDevice::UsbAt { bus, device }) => self.usb_at(bus, device, host),
            Some(HostDevice::Mediated(uuid)) => self.mediated.extend([uuid]),
            None => {}
        }
    }

    fn usb_at(&mut self, bus: Option<u32>, device: Option<u32>, host: &Host) {
        let (Some(bus), Some(device)) = (bus, device) else {
            self.unknown.push("which USB device is passed: it has neither ids nor bus and device number".to_owned());
            return;
        };
        let found = host.usb.iter().find(|usb| u32::from(usb.bus) == bus && u32::from(usb.device) == device);
        match found {
            Some(usb) => {
                self.usb.insert(usb.id);
            }
            // Nothing is plugged in there, so no device is used.
            None if !host.usb.is_empty() => {}
            None => self.unknown.push(format!("which USB device is at bus {bus}, device {device}")),
        }
    }

    fn disk(&mut self, disk: &Disk<'_>) {
        let is_written = !disk.is_read_only() && disk.element.child("shareable").is_none();
        match &disk.source {
            Some(Source::Nvme(function)) => self.functions.extend(*function),
            // libvirt takes a disk for raw where nothing is stated.
            Some(Source::Path(path)) if is_written => self.written(path.clone(), Some(disk.format.as_deref().unwrap_or("raw"))),
            Some(Source::Volume { pool, volume }) if is_written => self.written(format!("{pool}/{volume}"), disk.format.as_deref()),
            Some(Source::Remote { protocol, name }) if is_written && !name.is_empty() => {
                self.written(format!("{protocol}:{name}"), disk.format.as_deref());
            }
            _ => {}
        }
    }

    fn written(&mut self, disk: String, format: Option<&str>) {
        if format != Some("raw") {
            self.overlays.insert(disk.clone());
        }
        self.disks.insert(disk);
    }

    fn qemu_device(&mut self, device: &Map<String, Value>, host: &Host) {
        self.functions.extend(commandline::function(device));
        self.mediated.extend(commandline::mediated(device));
        if text(device, "driver").as_deref() == Some("usb-host") {
            let part = |name: &str| text(device, name).and_then(|value| parse_number(&value));
            let id = |name: &str| part(name).and_then(|id| u16::try_from(id).ok());
            match (id("vendorid"), id("productid")) {
                (Some(vendor), Some(product)) => {
                    self.usb.insert(UsbId { vendor, product });
                }
                _ => self.usb_at(part("hostbus"), part("hostaddr"), host),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(devices: &str, line: &[&str]) -> ExclusiveResources {
        let words: String =
            line.iter().map(|word| format!("<q:arg value='{}'/>", word.replace('\'', "&apos;").replace('"', "&quot;"))).collect();
        let text = format!(
            "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices>{devices}</devices><q:commandline>{words}</q:commandline></domain>"
        );
        taken(&Document::parse(&text).unwrap(), &Host::default())
    }

    #[test]
    fn elements() {
        let taken = of(
            "<hostdev type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source></hostdev>\
             <hostdev type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>\
             <hostdev type='mdev'><source><address uuid='C2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>\
             <interface type='hostdev'><source><address type='pci' domain='0' bus='3' slot='2' function='0'/></source></interface>\
             <disk type='nvme'><source type='pci' managed='yes'><address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></source></disk>\
             <disk type='file'><source file='/a'/></disk><disk type='block'><source dev='/dev/sdb'/></disk>\
             <disk type='volume'><source pool='p' volume='v'/></disk>\
             <disk type='file' device='cdrom'><source file='/iso'/></disk><disk type='file'><source file='/ro'/><readonly/></disk>\
             <disk type='file' device='floppy'><driver type='qcow2'/><source file='/fd'/></disk>\
             <filesystem><source dir='/share/'/></filesystem>",
            &[],
        );
        assert_eq!(taken.functions.iter().map(|one| one.short()).collect::<Vec<_>>(), ["01:00.1", "03:02.0", "05:00.0"]);
        assert_eq!(taken.usb.iter().map(ToString::to_string).collect::<Vec<_>>(), ["046d:c52b"]);
        assert!(taken.mediated.contains("c2177883-f1bb-47f0-914d-32a22e3a8804"));
        assert_eq!(taken.disks.iter().collect::<Vec<_>>(), ["/a", "/dev/sdb", "/fd", "p/v"]);
        assert_eq!(taken.overlays.iter().collect::<Vec<_>>(), ["/fd", "p/v"]);
        assert!(taken.folders.contains("/share"));
    }

    #[test]
    fn options_of_qemu() {
        let taken = of(
            "",
            &[
                "-device",
                "vfio-pci,host=01:00.0,multifunction=on",
                "-device",
                "{\"driver\":\"vfio-pci\",\"host\":\"0000:02:00.0\"}",
                "-device",
                "{'driver':'vfio-pci-nohotplug','sysfsdev':'/sys/bus/mdev/devices/c2177883-f1bb-47f0-914d-32a22e3a8804'}",
                "-device",
                "usb-host,vendorid=0x046d,productid=0xc52b",
                "-drive",
                "file=/a,,b.raw,format=raw,if=virtio",
                "-drive",
                "file=/iso,media=cdrom",
                "-blockdev",
                "{\"driver\":\"qcow2\",\"node-name\":\"x\",\"file\":{\"driver\":\"file\",\"filename\":\"/c.qcow2\"}}",
                "-device",
                "{broken",
            ],
        );
        assert_eq!(taken.functions.iter().map(|one| one.short()).collect::<Vec<_>>(), ["01:00.0", "02:00.0"]);
        assert_eq!((taken.usb.len(), taken.mediated.len()), (1, 1));
        assert_eq!(taken.disks.iter().collect::<Vec<_>>(), ["/a,b.raw", "/c.qcow2"]);
        assert!(taken.unknown[0].contains("{broken"), "{:?}", taken.unknown);
    }
}
