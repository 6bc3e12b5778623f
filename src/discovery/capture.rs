//! Captures a machine: what discovery reads, and the files that `prepare` reads.

use super::observed::observe;
use super::read::read;
use super::scope::Scope;
use super::setup::setup;
use crate::root::{Capture, CapturedPath, Root};

/// Directories of which only the file names and sizes are recorded: firmware images, kernels.
const LISTINGS: [&str; 15] = [
    "/boot",
    "/lib/modules",
    "/sys/class/iommu",
    "/sys/firmware/efi",
    "/usr/share/OVMF",
    "/usr/share/edk2-ovmf",
    "/usr/share/edk2-ovmf/x64",
    "/usr/share/edk2/ovmf",
    "/usr/share/edk2/x64",
    "/usr/share/ovmf",
    "/usr/share/ovmf/x64",
    "/usr/share/qemu",
    "/dev/hugepages",
    "/dev/vfio",
    "/sys/kernel/iommu_groups",
];

const KERNEL_OPTIONS: [&str; 5] = ["CONFIG_INTEL_IOMMU", "CONFIG_AMD_IOMMU", "CONFIG_VFIO", "CONFIG_DRM_SIMPLEDRM", "CONFIG_SYSFB"];

/// Records a machine without personal data, and lists what was recorded.
pub fn capture(root: Root) -> (Capture, Vec<CapturedPath>) {
    let root = root.recording();
    let host = read(&root, Scope::All);
    let setup = setup(&root, &host);
    observe(&root, &host, &setup, false);
    for card in host.pci.iter().filter(|device| device.class.is_display()) {
        // Only that it exists: the content is large and specific to the card.
        root.status(&format!("/sys/bus/pci/devices/{}/rom", card.address));
    }
    for directory in LISTINGS {
        for name in root.names(directory) {
            root.link(&format!("{directory}/{name}"));
            root.status(&format!("{directory}/{name}"));
        }
    }
    let kernel = host.platform.kernel.unwrap_or_default();
    let matters = |line: &&str| KERNEL_OPTIONS.iter().any(|word| line.contains(word));
    root.excerpt(&format!("/boot/config-{kernel}"), |text| text.split_inclusive('\n').filter(matters).collect());
    root.into_capture()
}
