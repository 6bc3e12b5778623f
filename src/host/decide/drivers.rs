//! The host drivers that could take a device.

use crate::model::vendor::{AMD_GRAPHICS, INTEL, NVIDIA};
use crate::model::{PciDevice, Setup};

/// The modules that may bind to a function: from the kernel's module aliases, else the usual ones.
pub(super) fn drivers_of(setup: &Setup, device: &PciDevice) -> Vec<String> {
    setup.claimants.get(&device.address).cloned().unwrap_or_else(|| usual(device))
}

/// The modules that claim such a device in the distributions' kernels (names from the kernel's drivers/gpu, sound, usb).
fn usual(device: &PciDevice) -> Vec<String> {
    let names: &[&str] = match (device.class.code(), device.id.vendor) {
        (0x0300..=0x0380, NVIDIA) => &["nouveau", "nvidia", "nvidiafb", "nova_core"],
        (0x0300..=0x0380, AMD_GRAPHICS) => &["amdgpu", "radeon"],
        (0x0300..=0x0380, INTEL) => &["i915", "xe"],
        (0x0403, _) => &["snd_hda_intel"],
        (0x0c03, _) => &["xhci_pci"],
        (0x0c80, NVIDIA) => &["i2c_nvidia_gpu"],
        (0x0c80, AMD_GRAPHICS) => &["i2c_designware_pci"],
        (0x0108, _) => &["nvme"],
        (0x0106, _) => &["ahci"],
        _ => &[],
    };
    let driver = device.driver.iter().filter(|_| names.is_empty() && !device.on_vfio()).map(|driver| driver.replace('-', "_"));
    names.iter().map(|name| (*name).to_owned()).chain(driver).collect()
}
