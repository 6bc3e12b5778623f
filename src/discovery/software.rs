//! Installed software that a guest needs, other than programs: sockets, drivers, discs.

use std::net::Ipv4Addr;

use crate::root::Root;

/// libvirt's sockets: of the QEMU daemon, or of the monolithic daemon.
const SOCKETS: [&str; 2] = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"];

/// libvirt's QEMU driver, by distribution.
const QEMU_DRIVERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so",
    "/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so",
    "/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so",
];

/// The usual folders of the disc with the virtio drivers for Windows, and the prefix of its name.
const DISC_DIRECTORIES: [&str; 5] =
    ["/usr/share/virtio-win", "/usr/share/virtio", "/var/lib/libvirt/images", "/var/lib/libvirt/boot", "/var/lib/vz/template/iso"];
const DISC: &str = "virtio-win";

pub(super) fn sockets(root: &Root) -> Vec<String> {
    SOCKETS.iter().filter(|path| root.exists(path)).map(|path| (*path).to_owned()).collect()
}

pub(super) fn qemu_driver(root: &Root) -> bool {
    QEMU_DRIVERS.iter().any(|path| root.exists(path))
}

/// The addresses on which port 445 is open, from the kernel's tables; for IPv6 only the wildcard address.
pub(super) fn smb_listeners(root: &Root) -> Option<Vec<Ipv4Addr>> {
    let of_samba = |text: &str| text.lines().filter(|line| listener(line).is_some()).map(|line| format!("{line}\n")).collect::<String>();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| root.excerpt(path, of_samba));
    tables[0].as_ref()?;
    let mut found: Vec<Ipv4Addr> = tables.iter().flatten().flat_map(|text| text.lines().filter_map(listener)).collect();
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// Parses a line such as `0: 0100007F:01BD 00000000:0000 0A …`: the address is in host byte order, 0A means listening.
fn listener(line: &str) -> Option<Ipv4Addr> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let address = fields.get(1)?.strip_suffix(":01BD").filter(|_| fields.get(3) == Some(&"0A"))?;
    match address.len() {
        8 => Some(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_le_bytes())),
        _ => address.bytes().all(|digit| digit == b'0').then_some(Ipv4Addr::UNSPECIFIED),
    }
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
