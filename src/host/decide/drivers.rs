//! The kernel modules that matter: the host drivers that could take a device, and those that vfio-pci needs.

use crate::model::vendor::{AMD_GRAPHICS, INTEL, NVIDIA};
use crate::model::{PciDevice, Setup};

/// The modules that may bind to a function: from the kernel's module aliases, else the usual ones.
pub(super) fn of_host(setup: &Setup, device: &PciDevice) -> Vec<String> {
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

/// The modules without which vfio-pci cannot bind a device: its own, its dependencies, and the one that maps a guest's memory.
pub(super) const NEEDED_BY_VFIO: [&str; 4] = ["vfio_pci", "vfio_pci_core", "vfio", "vfio_iommu_type1"];

/// The kernel's own parameter that keeps a module from being loaded, by its name.
const NEVER_LOADED: &str = "module_blacklist";
/// The parameters of kmod, dracut and initramfs-tools, which affect vfio-pci itself but not its dependencies.
const NOT_BY_ALIAS: [&str; 3] = ["modprobe.blacklist", "rd.driver.blacklist", "blacklist"];
/// The parameter that keeps built-in modules from being initialized.
const NEVER_STARTED: &str = "initcall_blacklist";

/// The parts of a kernel parameter's value that keep vfio-pci, or a module it needs, from being loaded.
pub fn kept_out<'a>(setup: &Setup, name: &str, value: &'a str) -> Vec<&'a str> {
    let name = name.replace('-', "_");
    value.split(',').filter(|part| keeps_out(setup, &name, part)).collect()
}

fn keeps_out(setup: &Setup, name: &str, part: &str) -> bool {
    let module = part.replace('-', "_");
    match name {
        NEVER_LOADED => NEEDED_BY_VFIO.contains(&module.as_str()) && !setup.is_built_in(&module),
        NEVER_STARTED => module.strip_suffix("_init").is_some_and(|module| NEEDED_BY_VFIO.contains(&module) && setup.is_built_in(module)),
        _ => NOT_BY_ALIAS.contains(&name) && module == "vfio_pci" && !setup.is_built_in("vfio_pci"),
    }
}

/// Whether a line of dependencies loads vfio-pci before the module.
pub(super) fn has_before(rest: &str) -> bool {
    let before = rest.split("post:").next().unwrap_or_default();
    before.split_whitespace().any(|word| word.replace('-', "_") == "vfio_pci")
}
