//! Whether the devices of a domain can be given to it through iommufd: what it needs, and what of that is there.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Host, Libvirt, PciAddress, Reading, at_least};

/// The first libvirt with `<iommufd>` for a whole domain; 12.1, which had it for single devices, crashed (libvirt's NEWS).
const LIBVIRT: (u64, u64) = (12, 2);
/// The first kernel in which iommufd maps the memory of one card for another (a3ebb59eee2e, BARs as dma-buf).
const BETWEEN_CARDS: (u32, u32) = (6, 19);

/// What would use iommufd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IommufdUse {
    /// The PCI functions that the domain passes through, whoever added them.
    pub functions: Vec<PciAddress>,
    pub has_mediated: bool,
}

/// One condition, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IommufdCondition {
    /// What has to hold.
    pub needs: String,
    /// Whether it does; `null` if that is unknown.
    pub holds: Option<bool>,
    /// What was found, or why it is unknown.
    pub because: String,
    /// What to do where it does not hold.
    pub remedy: String,
}

/// All conditions. Only device nodes count, not what sysfs lists.
pub fn iommufd_conditions(host: &Host, libvirt: &Libvirt, used: &IommufdUse) -> Vec<IommufdCondition> {
    let mut conditions = vec![of_libvirt(libvirt), of_qemu(libvirt), of_iommu(host), of_kernel(host)];
    conditions.extend(used.functions.iter().filter_map(|function| of_function(host, *function)));
    conditions.push(of_mediated(used.has_mediated));
    conditions.extend(of_cards(host, &used.functions));
    conditions
}

impl IommufdCondition {
    /// A condition about which nothing is known.
    pub fn unknown(needs: &str, because: String) -> Self {
        Self::new(needs, None, because, "correct what is wrong with the domain first: virsh edit")
    }

    fn new(needs: impl Into<String>, holds: Option<bool>, because: impl Into<String>, remedy: &str) -> Self {
        let remedy = if holds == Some(true) { String::new() } else { remedy.to_owned() };
        Self { needs: needs.into(), holds, because: because.into(), remedy }
    }
}

/// Whether this libvirt knows the element; an older one drops or refuses it.
pub fn has_iommufd_element(libvirt: &Libvirt) -> bool {
    libvirt.at_least(LIBVIRT.0, LIBVIRT.1)
}

fn of_libvirt(libvirt: &Libvirt) -> IommufdCondition {
    let (major, minor) = LIBVIRT;
    let because = libvirt.version.map_or_else(
        || "libvirt did not tell its version".to_owned(),
        |version| format!("it is {}.{}", version / 1_000_000, version / 1000 % 1000),
    );
    let holds = libvirt.version.map(|_| has_iommufd_element(libvirt));
    IommufdCondition::new(format!("libvirt {major}.{minor} or later"), holds, because, "leave --iommufd out until the host has it")
}

fn of_qemu(libvirt: &Libvirt) -> IommufdCondition {
    let because = match libvirt.iommufd {
        Some(true) => "libvirt reports it",
        Some(false) => "libvirt reports that it cannot be used here",
        None => "this libvirt does not report it",
    };
    // libvirt reports it where QEMU has the object and the host /dev/iommu (12.8 beside QEMU 11.1 without the node reports none).
    let remedy = "modprobe iommufd; where /dev/iommu is there, use QEMU 9.0 or later, built with iommufd";
    IommufdCondition::new("QEMU with iommufd, as libvirt reports it", libvirt.iommufd, because, remedy)
}

fn of_iommu(host: &Host) -> IommufdCondition {
    let (holds, because) = match &host.iommufd.iommu {
        Reading::Known(()) => (Some(true), "it is a character device"),
        Reading::Absent => (Some(false), "there is no such character device"),
        Reading::Unknown(because) => (None, because.as_str()),
    };
    IommufdCondition::new("/dev/iommu", holds, because, "modprobe iommufd; if there is no such module, use a kernel with CONFIG_IOMMUFD")
}

fn of_kernel(host: &Host) -> IommufdCondition {
    let (holds, because) = match &host.iommufd.makes_nodes {
        Reading::Known(true) => (Some(true), "the running kernel makes it for each device"),
        Reading::Known(false) | Reading::Absent => (Some(false), "the running kernel is built without it, as Debian 13's is"),
        Reading::Unknown(because) => (None, because.as_str()),
    };
    IommufdCondition::new(
        "/dev/vfio/devices (CONFIG_VFIO_DEVICE_CDEV)",
        holds,
        because,
        "use a kernel that is built with CONFIG_VFIO_DEVICE_CDEV",
    )
}

/// A function that VFIO does not have yet gets its node when libvirt binds it at the start, if the kernel makes such nodes.
fn of_function(host: &Host, function: PciAddress) -> Option<IommufdCondition> {
    let (holds, because) = match host.iommufd.nodes.get(&function)? {
        Reading::Known(path) => (Some(true), format!("it is {path}")),
        Reading::Absent => (Some(false), "VFIO has the function, and there is no such character device".to_owned()),
        Reading::Unknown(because) => (None, because.clone()),
    };
    let needs = format!("a node below /dev/vfio/devices for {}", function.short());
    Some(IommufdCondition::new(needs, holds, because, "use a kernel that is built with CONFIG_VFIO_DEVICE_CDEV"))
}

/// libvirt passes the node of a PCI function; a mediated device stays with the old interface, and QEMU would use both at once.
fn of_mediated(has_mediated: bool) -> IommufdCondition {
    let because = if has_mediated { "the domain has some" } else { "the domain has none" };
    IommufdCondition::new("no mediated devices", Some(!has_mediated), because, "remove them: --no-mdev")
}

fn of_cards(host: &Host, functions: &[PciAddress]) -> Option<IommufdCondition> {
    let mut slots: Vec<_> = host
        .devices(functions)
        .filter(|device| device.class.is_display())
        .map(|device| (device.address.domain, device.address.bus, device.address.device))
        .collect();
    slots.dedup();
    if slots.len() < 2 {
        return None;
    }
    let (major, minor) = BETWEEN_CARDS;
    let release = host.platform.kernel.as_deref();
    let because = release.map_or_else(|| "the running kernel is unknown".to_owned(), |release| format!("it is {release}"));
    Some(IommufdCondition::new(
        format!("kernel {major}.{minor} or later, so that the cards can access each other's memory"),
        release.and_then(|release| at_least(release, major, minor)),
        because,
        "pass one card, or leave --iommufd out",
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Class, Iommufd, PciDevice, Platform};

    const CARDS: [&str; 2] = ["01:00.0", "02:00.0"];

    fn addresses(count: usize) -> Vec<PciAddress> {
        CARDS[..count].iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A host where all holds, its two cards on vfio-pci.
    fn host() -> Host {
        let card = |address: &PciAddress| PciDevice { class: Class(0x03_0000), ..PciDevice::new(*address) };
        let nodes: BTreeMap<_, _> =
            addresses(2).into_iter().map(|address| (address, Reading::Known("/dev/vfio/devices/vfio0".to_owned()))).collect();
        Host {
            pci: addresses(2).iter().map(card).collect(),
            iommufd: Iommufd { iommu: Reading::Known(()), nodes, makes_nodes: Reading::Known(true) },
            platform: Platform { kernel: Some("6.19.1-arch1".into()), ..Platform::default() },
            ..Host::default()
        }
    }

    const NEW: Libvirt = Libvirt { version: Some(12_002_000), enlightenments: None, tpms: None, graphics: None, iommufd: Some(true) };

    /// The needs that do not hold, and those that are unknown.
    fn against(host: &Host, libvirt: &Libvirt, cards: usize, has_mediated: bool) -> (Vec<String>, Vec<String>) {
        let used = IommufdUse { functions: addresses(cards), has_mediated };
        let conditions = iommufd_conditions(host, libvirt, &used);
        let of = |state| conditions.iter().filter(|one| one.holds == state).map(|one| one.needs.clone()).collect();
        assert!(conditions.iter().all(|one| (one.holds == Some(true)) == one.remedy.is_empty()));
        (of(Some(false)), of(None))
    }

    #[test]
    fn each_condition_alone() {
        let nothing = (Vec::new(), Vec::new());
        assert_eq!(against(&host(), &NEW, 2, false), nothing);
        let only = |what: &str, (failed, unknown): (Vec<String>, Vec<String>)| {
            assert!(failed.len() == 1 && failed[0].contains(what) && unknown.is_empty(), "{what}: {failed:?} {unknown:?}");
        };
        only("libvirt 12.2", against(&host(), &Libvirt { version: Some(12_001_000), ..NEW }, 1, false));
        only("QEMU", against(&host(), &Libvirt { iommufd: Some(false), ..NEW }, 1, false));
        only("no mediated", against(&host(), &NEW, 1, true));
        let mut other = host();
        other.iommufd.iommu = Reading::Absent;
        only("/dev/iommu", against(&other, &NEW, 1, false));
        let mut other = host();
        other.iommufd.makes_nodes = Reading::Known(false);
        only("CONFIG_VFIO_DEVICE_CDEV", against(&other, &NEW, 1, false));
        let mut other = host();
        other.iommufd.nodes.insert(addresses(1)[0], Reading::Absent);
        only("01:00.0", against(&other, &NEW, 1, false));
        // One card is enough for an older kernel, two are not.
        let mut other = host();
        other.platform.kernel = Some("6.18.9".into());
        assert_eq!(against(&other, &NEW, 1, false), nothing);
        only("6.19", against(&other, &NEW, 2, false));
    }

    #[test]
    fn what_was_not_read_is_unknown() {
        let (failed, unknown) = against(&Host { pci: host().pci, ..Host::default() }, &Libvirt::default(), 2, false);
        assert_eq!((failed.len(), unknown.len()), (0, 5), "{unknown:?}");
    }
}
