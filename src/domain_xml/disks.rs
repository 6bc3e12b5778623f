//! The disks of a domain, including CDs and floppies.

use std::fmt;

use super::devices::devices_named;
use super::hostdevs::pci_address;
use crate::model::PciAddress;
use crate::xml::Element;

/// A disk, a CD or a floppy.
#[derive(Debug, Clone)]
pub struct Disk<'d> {
    pub element: Element<'d>,
    /// The kind of device that the guest sees: `disk`, `lun`, `cdrom`, `floppy`.
    pub kind: String,
    pub target: Option<String>,
    pub bus: Option<String>,
    /// Where its content is stored; `None` if it is empty, or of a kind that vgapt does not read.
    pub source: Option<Source>,
    /// The format that the domain states.
    pub format: Option<String>,
}

/// Where a disk's content is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Path(String),
    Volume {
        pool: String,
        volume: String,
    },
    /// Storage that only QEMU's block drivers reach.
    Remote {
        protocol: String,
        /// The name on the server; empty if the protocol needs none.
        name: String,
    },
    /// An `NVMe` controller of the host; `None` if its address cannot be read.
    Nvme(Option<PciAddress>),
}

impl Source {
    /// The source of a disk, of the copy that is being made (`<mirror>`), or of a backing file (`<backingStore>`).
    pub fn of(element: Element<'_>) -> Option<Self> {
        let source = element.child("source")?;
        if element.attribute("type").as_deref() == Some("nvme") {
            return Some(Self::Nvme(source.child("address").and_then(pci_address)));
        }
        let attribute = |name: &str| source.attribute(name).map(std::borrow::Cow::into_owned);
        if let Some(path) = attribute("file").or_else(|| attribute("dev")) {
            return Some(Self::Path(path));
        }
        if let (Some(pool), Some(volume)) = (attribute("pool"), attribute("volume")) {
            return Some(Self::Volume { pool, volume });
        }
        Some(Self::Remote { protocol: attribute("protocol")?, name: attribute("name").unwrap_or_default() })
    }

    /// The file or device.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Volume { pool, volume } => write!(f, "{pool}/{volume}"),
            Self::Remote { protocol, name } => write!(f, "{protocol}:{name}"),
            Self::Nvme(Some(address)) => write!(f, "NVMe controller {}", address.short()),
            Self::Nvme(None) => f.write_str("NVMe controller"),
        }
    }
}

impl<'d> Disk<'d> {
    pub fn of(element: Element<'d>) -> Self {
        let below = |child: &str, name: &str| element.child(child)?.attribute(name).map(std::borrow::Cow::into_owned);
        Self {
            element,
            kind: element.attribute("device").map_or_else(|| "disk".to_owned(), std::borrow::Cow::into_owned),
            target: below("target", "dev"),
            bus: below("target", "bus"),
            source: Source::of(element),
            format: below("driver", "type"),
        }
    }

    /// Its file or device.
    pub fn path(&self) -> Option<&str> {
        self.source.as_ref()?.path()
    }

    pub fn is_cdrom(&self) -> bool {
        self.kind == "cdrom"
    }

    pub fn is_read_only(&self) -> bool {
        self.is_cdrom() || self.element.child("readonly").is_some()
    }
}

pub fn disks(domain: Element<'_>) -> impl Iterator<Item = Disk<'_>> {
    devices_named(domain, "disk").map(Disk::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    #[test]
    fn where_the_content_is() {
        let text = "<domain><devices><disk><source file='/a'/></disk><disk type='block' device='lun'><source dev='/dev/b'/></disk>
            <disk type='volume'><source pool='p' volume='v'/></disk><disk type='network'><source protocol='nbd'><host name='h'/></source></disk>
            <disk type='nvme'><source><address domain='0' bus='5' slot='0' function='0'/></source></disk>
            <disk device='cdrom'><target dev='sda' bus='sata'/></disk><disk type='dir'><source dir='/c'/></disk></devices></domain>";
        let document = Document::parse(text).unwrap();
        let sources: Vec<Option<Source>> = disks(document.root()).map(|disk| disk.source).collect();
        let path = |path: &str| Some(Source::Path(path.to_owned()));
        assert_eq!(sources[..2], [path("/a"), path("/dev/b")]);
        assert_eq!(sources[2], Some(Source::Volume { pool: "p".into(), volume: "v".into() }));
        assert_eq!(sources[3], Some(Source::Remote { protocol: "nbd".into(), name: String::new() }));
        assert_eq!(sources[4..], [Some(Source::Nvme("05:00.0".parse().ok())), None, None]);
        let read_only: Vec<bool> = disks(document.root()).map(|disk| disk.is_read_only()).collect();
        assert_eq!(read_only, [false, false, false, false, false, true, false]);
    }
}
