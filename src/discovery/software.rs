//! What a guest needs of installed software, beside programs: sockets, drivers, discs.

use crate::root::Root;

/// Where libvirt listens: one daemon for all, or one for QEMU.
const SOCKETS: [&str; 2] = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];

/// libvirt's driver for QEMU, as distributions lay it out.
const QEMU_DRIVERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so",
    "/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so",
    "/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so",
];

/// Where packages and people put the disc with the virtio drivers for Windows, and how its name begins.
const DISC_DIRECTORIES: [&str; 5] =
    ["/usr/share/virtio-win", "/usr/share/virtio", "/var/lib/libvirt/images", "/var/lib/libvirt/boot", "/var/lib/vz/template/iso"];
const DISC: &str = "virtio-win";

pub(super) fn sockets(root: &Root) -> Vec<String> {
    SOCKETS.iter().filter(|path| root.exists(path)).map(|path| (*path).to_owned()).collect()
}

pub(super) fn qemu_driver(root: &Root) -> bool {
    QEMU_DRIVERS.iter().any(|path| root.exists(path))
}

pub(super) fn virtio_discs(root: &Root) -> Vec<String> {
    let mut discs = Vec::new();
    for directory in DISC_DIRECTORIES {
        let names = root.names(directory);
        let is_one = |name: &&String| name.starts_with(DISC) && name.ends_with(".iso");
        let paths = names.iter().filter(is_one).map(|name| format!("{directory}/{name}"));
        discs.extend(paths.filter(|path| root.exists(path)));
    }
    discs
}
