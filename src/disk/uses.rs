//! Which images a domain's disks are, from its XML.

use crate::xml::{Document, Element};

/// A disk of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUse {
    /// Its name in the guest: `sda`.
    pub target: String,
    /// File or device; of a volume `POOL/VOLUME`.
    pub source: Source,
    /// The format that the domain states, of a disk; raw where it states none and libvirt takes it for that.
    pub format: Option<String>,
    /// Whether the domain states it.
    pub is_stated: bool,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// Where a disk's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or a device.
    Path(String),
    /// A volume of a pool.
    Volume {
        /// The pool's name.
        pool: String,
        /// The volume's name.
        volume: String,
    },
}

/// The disks of a domain, with what they lie on and what they are being copied to, as far as the
/// XML says that.
pub fn disk_uses(domain: &Document) -> Vec<DiskUse> {
    let disks = domain.root().child("devices").into_iter().flat_map(|devices| devices.children_named("disk"));
    let mut uses = Vec::new();
    for disk in disks {
        let target = disk.child("target").and_then(|target| target.attribute("dev")).unwrap_or_default().into_owned();
        let mut add = |element: Element<'_>, stated: Option<Element<'_>>, unstated: Option<&str>, read_only: bool| {
            let format = stated.and_then(|stated| stated.attribute("type")).map(std::borrow::Cow::into_owned);
            let is_stated = format.is_some();
            let format = format.or_else(|| unstated.filter(|_| element.child("source").is_some_and(is_path)).map(str::to_owned));
            uses.extend(source(element).map(|source| DiskUse { target: target.clone(), source, format, is_stated, read_only }));
        };
        // A CD's drive takes any image for raw, which no guest can write. Of all else the guest may write the
        // first bytes, and libvirt takes it for raw where nothing is stated (`qemuDomainDeviceDiskDefPostParse`).
        let is_cdrom = disk.attribute("device").as_deref() == Some("cdrom");
        let (stated, unstated) = (disk.child("driver").filter(|_| !is_cdrom), (!is_cdrom).then_some("raw"));
        add(disk, stated, unstated, is_cdrom || disk.child("readonly").is_some());
        if let Some(mirror) = disk.child("mirror") {
            add(mirror, mirror.child("format"), Some("raw"), false);
        }
        let mut below = disk.child("backingStore");
        while let Some(store) = below {
            add(store, store.child("format"), None, true);
            below = store.child("backingStore");
        }
    }
    uses
}

/// The files and devices that a snapshot names: the overlays that it began, and what the domain had.
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

fn is_path(source: Element<'_>) -> bool {
    source.attribute("file").or_else(|| source.attribute("dev")).is_some()
}

fn source(element: Element<'_>) -> Option<Source> {
    let source = element.child("source")?;
    let attribute = |name: &str| source.attribute(name).map(std::borrow::Cow::into_owned);
    match (attribute("file").or_else(|| attribute("dev")), attribute("pool"), attribute("volume")) {
        (Some(path), ..) => Some(Source::Path(path)),
        (None, Some(pool), Some(volume)) => Some(Source::Volume { pool, volume }),
        _ => None,
    }
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
