//! A machine written down: what discovery reads, and the files that preparing a host reads.

use super::Scope;
use crate::root::{Capture, Root};

/// Files whose text is recorded where they are there.
const FILES: [&str; 25] = [
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/loader/loader.conf",
    "/boot/efi/loader/loader.conf",
    "/efi/loader/loader.conf",
    "/boot/limine.conf",
    "/boot/limine/limine.conf",
    "/boot/limine.cfg",
    "/boot/EFI/limine/limine.conf",
    "/etc/booster.yaml",
    "/etc/default/grub",
    "/etc/default/limine",
    "/etc/dracut.conf",
    "/etc/group",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/modules",
    "/etc/initramfs-tools/update-initramfs.conf",
    "/etc/kernel/cmdline",
    "/etc/kernel/install.conf",
    "/etc/kernelstub/configuration",
    "/etc/libvirt/qemu.conf",
    "/etc/mkinitcpio.conf",
    "/etc/modules",
    "/etc/passwd",
    "/proc/modules",
];

/// Directories whose files are recorded, and how the names of these end.
const DIRECTORIES: [(&str, &str); 19] = [
    ("/boot/efi/loader/entries", ".conf"),
    ("/boot/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/etc/default/grub.d", ".cfg"),
    ("/etc/dracut.conf.d", ".conf"),
    ("/etc/initramfs-tools/conf.d", ""),
    ("/etc/initramfs-tools/hooks", ""),
    ("/etc/initramfs-tools/scripts/init-top", ""),
    ("/etc/mkinitcpio.conf.d", ".conf"),
    ("/etc/mkinitcpio.d", ".preset"),
    ("/etc/modprobe.d", ".conf"),
    ("/etc/modules-load.d", ".conf"),
    ("/etc/qemu/firmware", ".json"),
    ("/etc/sysctl.d", ".conf"),
    ("/usr/lib/dracut/dracut.conf.d", ".conf"),
    ("/usr/lib/modprobe.d", ".conf"),
    ("/usr/lib/modules-load.d", ".conf"),
    ("/usr/share/qemu/firmware", ".json"),
    ("/sys/kernel/iommu_groups", ""),
];

/// Of these only what is in the directory is recorded: firmware images, kernels.
const LISTINGS: [&str; 14] = [
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
];

/// Long files of which a few lines matter: the kernel's configuration and its built-in modules.
const EXCERPTS: [(&str, &[&str]); 2] = [
    ("/boot/config-{kernel}", &["CONFIG_INTEL_IOMMU", "CONFIG_AMD_IOMMU", "CONFIG_VFIO", "CONFIG_DRM_SIMPLEDRM", "CONFIG_SYSFB"]),
    ("/lib/modules/{kernel}/modules.builtin", &["vfio", "iommu", "drm"]),
];

/// Records a machine; serial numbers, MAC addresses, UUIDs and the names of people are left out.
pub fn capture(root: Root) -> Capture {
    let root = root.recording();
    let host = super::read(&root, Scope::All);
    for path in FILES {
        let _ = root.text(path);
    }
    for (directory, ending) in DIRECTORIES {
        for name in root.names(directory).iter().filter(|name| name.ends_with(ending)) {
            let _ = root.text(&format!("{directory}/{name}"));
        }
    }
    for directory in LISTINGS {
        for name in root.names(directory) {
            root.link(&format!("{directory}/{name}"));
            root.status(&format!("{directory}/{name}"));
        }
    }
    let kernel = host.platform.kernel.unwrap_or_default();
    for (path, words) in EXCERPTS {
        let matters = |line: &&str| words.iter().any(|word| line.contains(word));
        root.excerpt(&path.replace("{kernel}", &kernel), |text| text.split_inclusive('\n').filter(matters).collect());
    }
    root.into_capture()
}
