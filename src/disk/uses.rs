//! The images that a domain uses, from its XML.

use crate::domain_xml::{self, Source};
use crate::xml::{Document, Element};

/// A disk of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUse {
    /// Its name in the guest: `sda`.
    pub target: String,
    /// Where the disk's content is stored.
    pub source: Source,
    /// The disk's format as the domain states it; raw where it states none and libvirt assumes raw.
    pub format: Option<String>,
    /// Whether the domain states the format.
    pub is_stated: bool,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// The disks of a domain, with their backing chains and mirrors, as far as they are in the XML.
pub fn disk_uses(domain: &Document) -> Vec<DiskUse> {
    let mut uses = Vec::new();
    for disk in domain_xml::disks(domain.root()) {
        let mut add = |source: Option<Source>, stated: Option<String>, unstated: Option<&str>, read_only: bool| {
            let Some(source) = source else { return };
            let is_stated = stated.is_some();
            let format = stated.or_else(|| unstated.filter(|_| source.path().is_some()).map(str::to_owned));
            uses.push(DiskUse { target: disk.target.clone().unwrap_or_default(), source, format, is_stated, read_only });
        };
        let stated = |element: Element<'_>| element.child("format")?.attribute("type").map(std::borrow::Cow::into_owned);
        // A CD drive treats every image as raw, but no guest can write to it. In all other images a guest can write the
        // first bytes, and libvirt assumes raw where no format is stated (`qemuDomainDeviceDiskDefPostParse`).
        let (format, unstated) = if disk.is_cdrom() { (None, None) } else { (disk.format.clone(), Some("raw")) };
        add(disk.source.clone(), format, unstated, disk.is_read_only());
        if let Some(mirror) = disk.element.child("mirror") {
            add(Source::of(mirror), stated(mirror), Some("raw"), false);
        }
        let mut below = disk.element.child("backingStore");
        while let Some(store) = below {
            add(Source::of(store), stated(store), None, true);
            below = store.child("backingStore");
        }
    }
    uses
}

/// The files and devices that a snapshot names: its overlays, and the domain's disks at that time.
pub fn snapshot_paths(snapshot: &Document) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open = vec![snapshot.root()];
    while let Some(element) = open.pop() {
        if element.name() == "source" {
            let path = element.attribute("file").or_else(|| element.attribute("dev"));
            paths.extend(path.filter(|path| path.starts_with('/')).map(std::borrow::Cow::into_owned));
        }
        open.extend(element.children());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_snapshot_names() {
        let text = "<domainsnapshot><disks><disk name='sda'><source file='/over'/></disk></disks><domain><devices>
            <disk><source dev='/dev/x'/></disk><interface><source dev='eth0'/></interface></devices></domain></domainsnapshot>";
        let mut paths = snapshot_paths(&Document::parse(text).unwrap());
        paths.sort();
        assert_eq!(paths, ["/dev/x", "/over"]);
    }

    #[test]
    fn chains_mirrors_and_volumes() {
        let domain = "<domain><devices>
            <disk><driver name='qemu' type='qcow2'/><source file='/o'/><target dev='sda'/><backingStore><format type='raw'/><source file='/b'/><backingStore/></backingStore><mirror><source file='/m'/></mirror></disk>
            <disk><source pool='p' volume='v'/><target dev='sdb'/><readonly/></disk><disk device='cdrom'><target dev='sdc'/></disk>
            <disk device='floppy'><driver name='qemu' type='raw'/><source file='/f'/><target dev='fda'/></disk>
            <disk device='cdrom'><driver type='raw'/><source file='/i'/><target dev='sdd'/></disk><disk><source file='/u'/><target dev='sde'/></disk>
            </devices></domain>";
        let uses = disk_uses(&Document::parse(domain).unwrap());
        let told: Vec<String> = uses
            .iter()
            .map(|used| format!("{} {:?} {} {}", used.target, used.source, used.format.as_deref().unwrap_or("?"), used.read_only))
            .collect();
        assert_eq!(
            told,
            [
                "sda Path(\"/o\") qcow2 false",
                "sda Path(\"/m\") raw false",
                "sda Path(\"/b\") raw true",
                "sdb Volume { pool: \"p\", volume: \"v\" } ? true",
                "fda Path(\"/f\") raw false",
                "sdd Path(\"/i\") ? true",
                "sde Path(\"/u\") raw false"
            ]
        );
    }
}
