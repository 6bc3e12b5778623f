//! The modules that vfio-pci needs, and the kernel parameters that keep them from being loaded.

use crate::model::Setup;

/// The modules without which vfio-pci cannot bind a device: its own, its dependencies, and the one that maps a guest's memory.
pub(super) const NEEDED: [&str; 4] = ["vfio_pci", "vfio_pci_core", "vfio", "vfio_iommu_type1"];

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
        NEVER_LOADED => NEEDED.contains(&module.as_str()) && !setup.is_built_in(&module),
        NEVER_STARTED => module.strip_suffix("_init").is_some_and(|module| NEEDED.contains(&module) && setup.is_built_in(module)),
        _ => NOT_BY_ALIAS.contains(&name) && module == "vfio_pci" && !setup.is_built_in("vfio_pci"),
    }
}
