//! The device nodes of iommufd.

use std::collections::BTreeMap;

use crate::model::{Iommufd, PciAddress, PciDevice, Reading};
use crate::root::Root;

const IOMMU: &str = "/dev/iommu";
const NODES: &str = "/dev/vfio/devices";
const OPTION: &str = "CONFIG_VFIO_DEVICE_CDEV";

pub(super) fn read(root: &Root, pci: &[PciDevice], kernel: Option<&str>) -> Iommufd {
    let nodes: BTreeMap<PciAddress, Reading<String>> =
        pci.iter().filter_map(|device| Some((device.address, node_of(root, device)?))).collect();
    let is_made = nodes.values().any(|node| matches!(node, Reading::Known(_)));
    let makes_nodes = if is_made { Reading::Known(true) } else { configured(root, kernel) };
    Iommufd { iommu: character_device(root, IOMMU), nodes, makes_nodes }
}

/// The node of a function that VFIO has; `None` for one that it does not have.
fn node_of(root: &Root, device: &PciDevice) -> Option<Reading<String>> {
    // Another driver's function has no such device node; where the driver is unknown, it is looked for.
    if device.driver.is_some() && !device.on_vfio() {
        return None;
    }
    // Made by `vfio_init_device` of drivers/vfio/vfio_main.c, with or without the option.
    let folder = format!("/sys/bus/pci/devices/{}/vfio-dev", device.address);
    match root.entries(&folder) {
        Reading::Known(names) => {
            let name = names.into_iter().find(|name| name.starts_with("vfio"))?;
            // So that a capture contains it.
            root.exists(&format!("{folder}/{name}"));
            let path = format!("{NODES}/{name}");
            Some(character_device(root, &path).map(|()| path))
        }
        Reading::Absent if device.on_vfio() && !root.is_live() => Some(not_contained(&folder)),
        // A kernel before 6.1 has no such folder, and no such nodes.
        Reading::Absent => device.on_vfio().then_some(Reading::Absent),
        Reading::Unknown(because) => Some(Reading::Unknown(because)),
    }
}

/// Nothing else counts: a program that opens a missing node with `O_CREAT` leaves a file in its place.
fn character_device(root: &Root, path: &str) -> Reading<()> {
    match root.status(path) {
        Some(status) if status.is_character_device => Reading::Known(()),
        Some(_) => Reading::Absent,
        None if root.is_live() && root.presence(path) == Some(false) => Reading::Absent,
        None if root.is_live() => Reading::Unknown(format!("cannot look at {path}")),
        None => not_contained(path),
    }
}

/// A tree is no running system, and an older capture does not have it.
fn not_contained<T>(path: &str) -> Reading<T> {
    Reading::Unknown(format!("{path} is not in what was read"))
}

/// What the running kernel's configuration says, where a distribution installs it.
fn configured(root: &Root, kernel: Option<&str>) -> Reading<bool> {
    let Some(release) = kernel else { return Reading::Unknown("the release of the running kernel is unknown".to_owned()) };
    let options = |text: &str| text.split_inclusive('\n').filter(|line| line.contains("CONFIG_VFIO")).collect();
    let files = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    match files.iter().find_map(|file| root.excerpt(file, options)) {
        // A kernel before 6.6 does not know the option.
        Some(text) if text.contains("CONFIG_VFIO") => Reading::Known(text.lines().any(|line| line.trim() == format!("{OPTION}=y"))),
        _ => Reading::Unknown(format!("{} cannot be read, which would say whether {OPTION} is set", files[0])),
    }
}
