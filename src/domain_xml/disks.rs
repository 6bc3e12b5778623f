//! The disks of a domain, its CDs and floppies among them.

use super::devices::devices_named;
use super::hostdevs::pci_address;
use crate::model::PciAddress;
use crate::xml::Element;

/// A disk, a CD or a floppy.
#[derive(Debug, Clone)]
pub struct Disk<'d> {
    /// Where it stands.
    pub element: Element<'d>,
    /// What the guest takes it for: `disk`, `lun`, `cdrom`, `floppy`.
    pub kind: String,
    /// Its name: `sda`.
    pub target: Option<String>,
    /// What it is on: `scsi`.
    pub bus: Option<String>,
    /// Where its content is; `None` where it is empty, or of a kind that nothing here reads.
    pub source: Option<Source>,
    /// The format that is stated.
    pub format: Option<String>,
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
    /// What only QEMU's drivers reach.
    Remote {
        /// The driver.
        protocol: String,
        /// Name at the other end; empty where that needs none.
        name: String,
    },
    /// An `NVMe` controller of the host's; `None` where its address cannot be read.
    Nvme(Option<PciAddress>),
}

impl Source {
    /// Of a disk, of what it is copied to (`<mirror>`), or of what it lies on (`<backingStore>`).
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

impl<'d> Disk<'d> {
    /// What a `<disk>` says.
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

    /// The file or device that it is.
    pub fn path(&self) -> Option<&str> {
        self.source.as_ref()?.path()
    }

    /// Whether it is a CD or DVD.
    pub fn is_cdrom(&self) -> bool {
        self.kind == "cdrom"
    }

    /// Whether the guest may only read it.
    pub fn is_read_only(&self) -> bool {
        self.is_cdrom() || self.element.child("readonly").is_some()
    }
}

/// All of them.
pub fn disks(domain: Element<'_>) -> impl Iterator<Item = Disk<'_>> {
    devices_named(domain, "disk").map(Disk::of)
}
