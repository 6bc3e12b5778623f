//! The expansion ROMs of graphics cards: `rom` in sysfs.

use std::collections::BTreeMap;

use crate::model::{PciAddress, Rom, RomState};
use crate::root::Root;

/// The longest ROM that is read; PCI limits the ROM region to 16 MiB.
const LONGEST: usize = 16 << 20;

/// The state of these functions' ROMs. A ROM is readable only after 1 was written to
/// its `rom` file; vgapt never does this, because it changes the state of the device.
pub fn roms(root: &Root, functions: &[PciAddress]) -> BTreeMap<PciAddress, RomState> {
    let state = |address: &PciAddress| {
        let path = format!("/sys/bus/pci/devices/{address}/rom");
        root.status(&path)?;
        let read = root.first_bytes(&path, LONGEST).ok().filter(|bytes| !bytes.is_empty());
        Some((*address, read.map_or(RomState::Disabled, |bytes| RomState::Read(Rom::parse(&bytes)))))
    };
    functions.iter().filter_map(state).collect()
}
