//! The setup of the host: configuration files, kernels, boot, use of devices.

use super::{booted, config, domains, firmware, hook, kernels, networks, ostree, uses};
use crate::model::{DomainFunctions, Host, LocalInitramfs, Setup, Size};
use crate::root::Root;

/// Programs that `prepare` may run, or whose presence shows how the host is set up.
const PROGRAMS: &[&str] = &[
    "abroot",
    "apt-get",
    "bootctl",
    "bootc",
    "booster",
    "dnf",
    "dracut",
    "grub-mkconfig",
    "grub2-mkconfig",
    "grubby",
    "kernel-install",
    "kernelstub",
    "libvirtd",
    "limine-mkinitcpio",
    "limine-update",
    "lsinitcpio",
    "lsinitramfs",
    "lsinitrd",
    "midclt",
    "mkinitcpio",
    "pacman",
    "proxmox-boot-tool",
    "qemu-img",
    "qemu-kvm",
    "qemu-system-x86_64",
    "reinstall-kernels",
    "restorecon",
    "rpm-ostree",
    "sbctl",
    "sdbootutil",
    "smbd",
    "swtpm",
    "systemctl",
    "transactional-update",
    "update-grub",
    "update-initramfs",
    "virt-sparsify",
    "virsh",
    "virtiofsd",
    "virtqemud",
    "zypper",
];

/// The folders of programs.
const PROGRAM_DIRECTORIES: [&str; 5] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];

/// Helper programs, and their paths on different distributions.
const HELPERS: [(&str, &str); 4] = [
    ("qemu-kvm", "/usr/libexec/qemu-kvm"),
    ("virtiofsd", "/usr/libexec/virtiofsd"),
    ("virtiofsd", "/usr/lib/qemu/virtiofsd"),
    ("virtiofsd", "/usr/lib/virtiofsd"),
];

/// The file systems that are written to.
const WRITTEN: [&str; 5] = ["/", "/boot", "/boot/efi", "/efi", "/var"];

/// The folders of boot images, and the prefixes of their names.
const IMAGE_DIRECTORIES: [&str; 4] = ["/boot", "/boot/EFI/Linux", "/boot/efi/EFI/Linux", "/efi/EFI/Linux"];
const IMAGES: [&str; 4] = ["booster", "initrd", "initramfs", "vmlinuz"];

/// Reads the setup of a host; `host` is needed to select the relevant modules.
pub fn setup(root: &Root, host: &Host) -> Setup {
    let kernels = kernels::read(root, host);
    let files = config::read(root);
    let mut unread = config::unread(root, &files);
    unread.extend(kernels::unread(root, &kernels));
    Setup {
        unread,
        booted: booted::read(root),
        local_initramfs: LocalInitramfs(ostree::local_initramfs(root, &files)),
        claimants: kernels::claimants(root, host, &kernels),
        kernels,
        programs: PROGRAMS.iter().filter(|name| is_program(root, name)).map(|name| (*name).to_owned()).collect(),
        uses: uses::read(root),
        room: WRITTEN.iter().filter_map(|path| Some(((*path).to_owned(), Size::from_bytes(root.free_bytes(path)?)))).collect(),
        images: images(root),
        firmwares: firmware::firmwares(root).len(),
        networks: networks::read(root),
        hook_program: hook::program(root),
        files,
        in_domains: DomainFunctions(domains::functions(root)),
    }
}

fn is_program(root: &Root, name: &str) -> bool {
    let helper = HELPERS.iter().any(|(known, path)| *known == name && root.exists(path));
    helper || PROGRAM_DIRECTORIES.iter().any(|directory| root.exists(&format!("{directory}/{name}")))
}

fn images(root: &Root) -> Vec<(String, Size)> {
    let mut images = Vec::new();
    for directory in IMAGE_DIRECTORIES {
        for name in root.names(directory) {
            if !(IMAGES.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with(".efi")) {
                continue;
            }
            let path = format!("{directory}/{name}");
            if let Some(status) = root.status(&path).filter(|status| !status.is_dir && root.link(&path).is_none()) {
                images.push((path, Size::from_bytes(status.size)));
            }
        }
    }
    images
}
