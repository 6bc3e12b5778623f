//! The expansion ROMs of graphics cards: `rom` in sysfs.

use std::collections::BTreeMap;

use crate::model::{PciAddress, Rom, RomState};
use crate::root::Root;

/// The longest ROM that is read: PCI's own limit for the region is 16 MiB.
const LONGEST: usize = 16 << 20;

/// What can be told of these functions' ROMs. One is readable only after somebody has written 1 to
/// its `rom`; vgapt never does, since that changes the device.
pub fn roms(root: &Root, functions: &[PciAddress]) -> BTreeMap<PciAddress, RomState> {
    let state = |address: &PciAddress| {
        let path = format!("/sys/bus/pci/devices/{address}/rom");
        root.status(&path)?;
        let read = root.first_bytes(&path, LONGEST).ok().filter(|bytes| !bytes.is_empty());
        Some((*address, read.map_or(RomState::Closed, |bytes| RomState::Read(Rom::parse(&bytes)))))
    };
    functions.iter().filter_map(state).collect()
}
