//! The files by which a host boots and loads its modules.

use crate::model::{ConfigFile, ConfigFiles};
use crate::root::Root;

/// The longest file that is taken for configuration; the longest real one, a `grub.cfg` of many kernels, has a tenth of it.
const LONGEST: usize = 1 << 20;

/// Files that matter where they are there.
const FILES: [&str; 48] = [
    "/boot/efi/loader/loader.conf",
    "/boot/EFI/limine/limine.conf",
    "/boot/grub/custom.cfg",
    "/boot/grub/grub.cfg",
    "/boot/grub/grubenv",
    "/boot/grub2/custom.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/limine.cfg",
    "/boot/limine.conf",
    "/boot/limine/limine.conf",
    "/boot/loader/loader.conf",
    "/efi/loader/loader.conf",
    "/etc/booster.yaml",
    "/etc/crypttab",
    "/etc/default/grub",
    "/etc/default/limine",
    "/etc/dracut.conf",
    "/etc/fstab",
    "/etc/group",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/modules",
    "/etc/initramfs-tools/update-initramfs.conf",
    "/etc/kernel/cmdline",
    "/etc/kernel/install.conf",
    "/etc/kernel/uki.conf",
    "/etc/kernelstub/configuration",
    "/etc/libvirt/qemu.conf",
    "/etc/mkinitcpio.conf",
    "/etc/modules",
    "/etc/passwd",
    "/etc/samba/smb.conf",
    "/etc/samba/vgapt.conf",
    "/etc/security/limits.conf",
    "/etc/systemd/system/multi-user.target.wants/smb.service",
    "/etc/systemd/system/multi-user.target.wants/smbd.service",
    "/etc/libvirt/hooks/qemu.d/vgapt",
    "/etc/vgapt/bind",
    "/proc/iomem",
    "/proc/modules",
    "/proc/swaps",
    "/run/libvirtd.pid",
    "/run/ostree-booted",
    "/run/virtqemud.pid",
    "/sys/fs/selinux/enforce",
    "/usr/lib/bootc/install/00-defaults.toml",
    "/usr/lib/kernel/cmdline",
    "/usr/lib/kernel/install.conf",
];

/// Directories whose files matter, and how the names of these end.
const DIRECTORIES: [(&str, &str); 27] = [
    ("/boot/efi/loader/entries", ".conf"),
    ("/boot/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/etc/cmdline.d", ".conf"),
    ("/etc/default/grub.d", ".cfg"),
    ("/etc/dracut.conf.d", ".conf"),
    ("/etc/initramfs-tools/conf.d", ""),
    ("/etc/initramfs-tools/hooks", ""),
    ("/etc/initramfs-tools/scripts/init-top", ""),
    ("/etc/kernel/cmdline.d", ".conf"),
    ("/etc/mkinitcpio.conf.d", ".conf"),
    ("/etc/mkinitcpio.d", ".preset"),
    ("/etc/modprobe.d", ".conf"),
    ("/etc/modules-load.d", ".conf"),
    ("/etc/qemu/firmware", ".json"),
    ("/etc/security/limits.d", ".conf"),
    ("/etc/sysctl.d", ".conf"),
    ("/etc/systemd/system", ".mount"),
    ("/lib/modprobe.d", ".conf"),
    ("/run/modprobe.d", ".conf"),
    ("/usr/lib/bootc/kargs.d", ".toml"),
    ("/usr/lib/dracut/dracut.conf.d", ".conf"),
    ("/usr/lib/modprobe.d", ".conf"),
    ("/usr/lib/modules-load.d", ".conf"),
    ("/usr/lib/sysctl.d", ".conf"),
    ("/usr/share/qemu/firmware", ".json"),
    ("/etc/udev/rules.d", ".rules"),
];

pub(super) fn read(root: &Root) -> ConfigFiles {
    let mut files = ConfigFiles::default();
    let mut add = |path: String| {
        if let Some(file) = file(root, &path) {
            files.0.insert(path, file);
        }
    };
    for path in FILES {
        add(path.to_owned());
    }
    for (directory, ending) in DIRECTORIES {
        for name in root.names(directory).iter().filter(|name| name.ends_with(ending) && !name.starts_with('.')) {
            add(format!("{directory}/{name}"));
        }
    }
    files
}

fn file(root: &Root, path: &str) -> Option<ConfigFile> {
    let place = root.real_path(path).unwrap_or_else(|| path.to_owned());
    let Some(status) = root.status(path) else {
        let target = root.link(path)?;
        return Some(ConfigFile { place, mode: 0, text: Err(format!("is a link to {target}, which is not there")) });
    };
    let text = if status.is_dir {
        Err("is a directory".to_owned())
    } else if status.size > LONGEST as u64 {
        Err(format!("is longer than {} KiB, which is no configuration", LONGEST >> 10))
    } else {
        match root.first_bytes(path, LONGEST) {
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|error| format!("holds what is no UTF-8 text, at byte {}", error.utf8_error().valid_up_to())),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    };
    Some(ConfigFile { place, mode: status.mode, text })
}
