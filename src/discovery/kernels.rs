//! The installed kernels: their built-in modules, and which modules match which device.

use std::collections::BTreeMap;

use crate::model::{Host, Kernel, PciAddress};
use crate::root::Root;

const MODULES: &str = "/lib/modules";

/// Words in the names of relevant built-in modules: vfio, and drivers of devices that are passed through.
const MATTERS: [&str; 10] = ["vfio", "iommu", "drm", "xhci", "snd-hda", "nvme", "ahci", "fb", "i2c", "kvm"];

pub(super) fn read(root: &Root, host: &Host) -> Vec<Kernel> {
    let mut releases = root.names(MODULES);
    // Without any list, only the running kernel is known.
    if releases.is_empty() {
        releases.extend(host.platform.kernel.clone());
    }
    let kernel = |release: String| {
        let list = root.excerpt(&format!("{MODULES}/{release}/modules.builtin"), |text| {
            text.split_inclusive('\n').filter(|line| MATTERS.iter().any(|word| line.contains(word))).collect()
        });
        let name = |line: &str| Some(line.rsplit('/').next()?.split(".ko").next()?.replace('-', "_"));
        let builtin = list.unwrap_or_default().lines().filter_map(name).collect();
        // A directory that a removed kernel left behind has no list of modules.
        Kernel { release, builtin }
    };
    releases.into_iter().map(kernel).collect()
}

/// Why lists of built-in modules cannot be read.
pub(super) fn unread(root: &Root, kernels: &[Kernel]) -> Vec<String> {
    let unknown = kernels.iter().filter(|kernel| kernel.builtin.is_empty());
    unknown
        .filter_map(|kernel| root.reading(&format!("{MODULES}/{}/modules.builtin", kernel.release)).unknown().map(str::to_owned))
        .collect()
}

/// The modules that match each function, according to modules.alias of the running kernel, else of the newest one.
pub(super) fn claimants(root: &Root, host: &Host, kernels: &[Kernel]) -> BTreeMap<PciAddress, Vec<String>> {
    let running = host.platform.kernel.as_deref();
    let release = kernels.iter().find(|kernel| Some(kernel.release.as_str()) == running).or(kernels.last());
    let Some(release) = release.map(|kernel| &kernel.release) else { return BTreeMap::new() };
    let names: Vec<(PciAddress, String)> = host.pci.iter().map(|device| (device.address, device.modalias())).collect();
    let matching = |line: &str| {
        let (pattern, _) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
        (pattern.starts_with("pci:") && names.iter().any(|(_, name)| matches(pattern, name))).then_some(())
    };
    let table = root
        .excerpt(&format!("{MODULES}/{release}/modules.alias"), |text| {
            text.split_inclusive('\n').filter(|line| matching(line.trim_end()).is_some()).collect()
        })
        .unwrap_or_default();
    let claims = |name: &str| {
        let mut modules: Vec<String> = table
            .lines()
            .filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' '))
            .filter(|(pattern, _)| matches(pattern, name))
            .map(|(_, module)| module.to_owned())
            .collect();
        modules.sort_unstable();
        modules.dedup();
        modules
    };
    names.iter().map(|(address, name)| (*address, claims(name))).filter(|(_, modules)| !modules.is_empty()).collect()
}

/// Whether a name matches a shell pattern in which only `*` is special.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    match last {
        // The last part must match the end of the name; it is empty if the pattern ends with `*`.
        Some(part) => part.is_empty() || name.ends_with(part),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, PciDevice, PciId};

    #[test]
    fn who_claims_a_card() {
        let mut card = PciDevice::new("01:00.0".parse().unwrap());
        card.id = PciId { vendor: 0x10de, device: 0x1401 };
        card.class = Class(0x03_00_00);
        let name = card.modalias();
        assert_eq!(name, "pci:v000010DEd00001401sv00000000sd00000000bc03sc00i00");
        for pattern in ["pci:v000010DEd*sv*sd*bc03sc*i*", "pci:v000010DEd00001401sv*sd*bc*sc*i*", "pci:v*d*sv*sd*bc03sc00i00*"] {
            assert!(matches(pattern, &name), "{pattern}");
        }
        for pattern in ["pci:v000010DEd*sv*sd*bc04sc*i*", "pci:v00001002d*sv*sd*bc03sc*i*", "pci:v000010DE", ""] {
            assert!(!matches(pattern, &name), "{pattern}");
        }
    }
}
