//! Names of devices: from the host's `pci.ids`, then from the table of the pci-ids crate.

use std::collections::BTreeMap;

use super::scope::Scope;
use crate::model::{PciDevice, PciId};
use crate::root::Root;

/// The paths of the list on different distributions.
const LISTS: [&str; 4] = ["/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids", "/var/lib/pciutils/pci.ids"];

/// The pci-ids crate's table in the same format; see build.rs.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/pci.ids"));

pub(super) fn of_pci(root: &Root, devices: &mut [PciDevice], scope: Scope) {
    let wanted = |device: &&mut PciDevice| scope != Scope::Cards || device.class.is_display();
    if !devices.iter_mut().any(|device| wanted(&device)) {
        return;
    }
    let ids: Vec<PciId> = devices.iter_mut().filter(wanted).map(|device| device.id).collect();
    let own = LISTS.iter().find_map(|path| root.excerpt(path, |list| excerpt(list, &ids))).unwrap_or_default();
    let mut known: BTreeMap<PciId, Option<String>> = BTreeMap::new();
    for device in devices.iter_mut().filter(wanted) {
        device.name = known.entry(device.id).or_insert_with(|| name(&own, device.id)).clone();
    }
}

/// `Vendor Device`, or only the vendor.
pub(super) fn name(own: &str, id: PciId) -> Option<String> {
    let mut vendor = None;
    for list in [own, BUILT_IN] {
        let Some((name, block)) = vendor_block(list, id.vendor) else { continue };
        let vendor = *vendor.get_or_insert(name);
        if let Some(device) = device_name(block, id.device) {
            return Some(format!("{vendor} {device}"));
        }
    }
    vendor.map(str::to_owned)
}

/// The lines of a list that name these devices.
fn excerpt(list: &str, ids: &[PciId]) -> String {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut lines = String::new();
    for of_vendor in ids.chunk_by(|a, b| a.vendor == b.vendor) {
        let Some((vendor, block)) = vendor_block(list, of_vendor[0].vendor) else { continue };
        lines.push_str(&format!("{:04x}  {vendor}\n", of_vendor[0].vendor));
        for id in of_vendor {
            if let Some(device) = device_name(block, id.device) {
                lines.push_str(&format!("\t{:04x}  {device}\n", id.device));
            }
        }
    }
    lines
}

/// A vendor's name, and the lines below it up to the next vendor.
fn vendor_block(list: &str, vendor: u16) -> Option<(&str, &str)> {
    let key = format!("{vendor:04x}  ");
    let rest = match list.strip_prefix(&key) {
        Some(rest) => rest,
        // The list is long, and memchr is many times faster than the standard library here.
        None => &list[memchr::memmem::find(list.as_bytes(), format!("\n{key}").as_bytes())? + 1 + key.len()..],
    };
    let (name, lines) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut end = 0;
    for line in lines.split_inclusive('\n').take_while(|line| line.starts_with(['\t', '#'])) {
        end += line.len();
    }
    Some((name.trim(), &lines[..end]))
}

fn device_name(block: &str, device: u16) -> Option<&str> {
    let key = format!("\t{device:04x}  ");
    block.lines().find_map(|line| line.strip_prefix(&key)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\n10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n\t\t1043 8520  a subsystem\n8086  Intel Corporation\n\t1401  decoy\nC 03  Display controller\n";

    #[test]
    fn own_list_then_crate_then_hex() {
        let name = |id: &str| name(LIST, id.parse().unwrap());
        assert_eq!(name("10de:1401").unwrap(), "NVIDIA Corporation GM206 [GeForce GTX 960]");
        assert_eq!(
            name("1002:67df").unwrap(),
            "Advanced Micro Devices, Inc. [AMD/ATI] Ellesmere [Radeon RX 470/480/570/570X/580/580X/590]"
        );
        assert_eq!(name("10de:fffe").unwrap(), "NVIDIA Corporation");
        assert_eq!(name("0bad:0001"), None);
    }

    #[test]
    fn an_excerpt_answers_as_the_list() {
        let id = "10de:1401".parse().unwrap();
        let part = excerpt(LIST, &[id, id]);
        assert_eq!(part, "10de  NVIDIA Corporation\n\t1401  GM206 [GeForce GTX 960]\n");
        assert_eq!(super::name(&part, id), super::name(LIST, id));
    }

    #[test]
    fn the_built_in_table_is_whole() {
        assert!(BUILT_IN.lines().count() > 15_000, "{}", BUILT_IN.lines().count());
        assert!(vendor_block(BUILT_IN, 0x10de).is_some());
    }
}
