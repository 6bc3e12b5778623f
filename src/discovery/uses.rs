//! What the host uses its devices for: disks in use, the network of the default route, keyboards.

use std::collections::BTreeSet;

use crate::model::{PciAddress, Purpose, Reading, Use, Uses};
use crate::root::Root;

const BLOCK: &str = "/sys/class/block";
/// In the place of a mount point.
const SWAP: &str = "swap";
/// The longest chain of devices on devices (partition, RAID, LUKS, LVM, …) that is followed.
const DEEPEST: usize = 16;
/// `RTF_UP` and `RTF_GATEWAY` of the kernel's route.h.
const UP_AND_GATEWAY: u32 = 3;

/// The same of a host whose files may be out of reach.
pub fn read_from(root: Option<&Root>) -> Uses {
    root.map_or_else(|| Uses { unknown: vec!["the host's files are out of reach from here".to_owned()], ..Uses::default() }, read)
}

/// What the host uses its devices for.
pub(super) fn read(root: &Root) -> Uses {
    let mut known = disks(root);
    known.extend(routes(root));
    known.extend(keyboards(root));
    known.sort_by(|a, b| a.what.cmp(&b.what));
    known.dedup();
    // The running system always has these; a tree or a recording may hold only a part of a machine.
    let unread = |path: &&str| match root.reading(path) {
        Reading::Unknown(because) => Some(because),
        Reading::Absent if root.is_live() => Some(format!("{path} is not there")),
        Reading::Absent | Reading::Known(_) => None,
    };
    let unknown = ["/proc/mounts", "/proc/swaps", "/proc/net/route", "/proc/bus/input/devices"];
    Uses { known, unknown: unknown.iter().filter_map(unread).collect() }
}

/// What the host does with a disk, in words; `None` where nothing is known of it.
pub(super) fn use_of(root: &Root, path: &str) -> Option<String> {
    of_block(root, &block_name(root, path)?, &in_use(root))
}

/// A disk is used where one of its partitions is, or something that is made of either.
fn of_block(root: &Root, disk: &str, used: &[(String, String)]) -> Option<String> {
    let partitions = root.names(&format!("{BLOCK}/{disk}")).into_iter().filter(|part| part.starts_with(disk));
    let devices: Vec<String> = std::iter::once(disk.to_owned()).chain(partitions).collect();
    if let Some((_, place)) = used.iter().find(|(name, _)| devices.contains(name)) {
        return Some(if place == SWAP { "used for swapping".to_owned() } else { format!("mounted on {place}") });
    }
    devices.iter().find_map(|device| {
        let holder = root.names(&format!("{BLOCK}/{device}/holders")).into_iter().next()?;
        Some(format!("part of {holder}"))
    })
}

fn disks(root: &Root) -> Vec<Use> {
    let used = in_use(root);
    // Also disks that are part of something which is not mounted itself: an array, a volume group, a pool.
    let is_disk = |name: &String| !root.exists(&format!("{BLOCK}/{name}/partition"));
    let parts = root.names(BLOCK).into_iter().filter(is_disk).filter_map(|name| {
        let place = of_block(root, &name, &[])?;
        (!used.iter().any(|(other, _)| other.starts_with(&name))).then_some((name, place))
    });
    let with_way = |(name, place): (String, String)| {
        let path = addresses(root, &name);
        // A disk without a function of the host's above it (a loop, a network disk) goes with none.
        (!path.is_empty()).then_some(Use { path, what: Purpose::Disk { name, place } })
    };
    let parts: Vec<(String, String)> = parts.collect();
    used.into_iter().chain(parts).filter_map(with_way).collect()
}

/// The block devices that are mounted or swapped to, and all that they are made of, each with the place.
fn in_use(root: &Root) -> Vec<(String, String)> {
    let mounts = root.text("/proc/mounts").unwrap_or_default();
    let swaps = root.text("/proc/swaps").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let (source, place) = line.split_once(' ')?;
        Some((source.to_owned(), unescape(place.split(' ').next()?)))
    });
    let swapped = swaps.lines().skip(1).filter_map(|line| Some((line.split_ascii_whitespace().next()?.to_owned(), SWAP.to_owned())));
    let of = |(source, place): (String, String)| {
        let all = block_name(root, &source).map(|name| parts(root, &name)).unwrap_or_default();
        all.into_iter().map(move |name| (name, place.clone()))
    };
    mounted.chain(swapped).flat_map(of).collect()
}

/// The kernel's name of a block device: of `/dev/mapper/…` and `/dev/disk/…` it is another one.
fn block_name(root: &Root, source: &str) -> Option<String> {
    let name = source.strip_prefix("/dev/")?;
    if root.exists(&format!("{BLOCK}/{name}")) {
        return Some(name.to_owned());
    }
    if let Some(mapped) = name.strip_prefix("mapper/") {
        let is_it = |block: &&String| root.attribute(&format!("{BLOCK}/{block}/dm/name")).as_deref() == Some(mapped);
        return root.names(BLOCK).iter().filter(|block| block.starts_with("dm-")).find(is_it).cloned();
    }
    root.link_name(source).or_else(|| (!name.contains('/')).then(|| name.to_owned()))
}

/// A block device and all those that it is made of.
fn parts(root: &Root, name: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut layer = vec![name.to_owned()];
    for _ in 0..DEEPEST {
        layer.retain(|name| all.insert(name.clone()));
        layer = layer.iter().flat_map(|name| root.names(&format!("{BLOCK}/{name}/slaves"))).collect();
    }
    all
}

/// The PCI functions on the way to a block device.
fn addresses(root: &Root, name: &str) -> Vec<PciAddress> {
    let path = root.link(&format!("{BLOCK}/{name}")).unwrap_or_default();
    let found = in_path(&path);
    // With native multipath an NVMe disk hangs under a virtual device; its controller has the same number.
    match name.strip_prefix("nvme").and_then(|rest| rest.split('n').next()) {
        Some(number) if found.is_empty() => in_path(&root.real_path(&format!("/sys/class/nvme/nvme{number}/device")).unwrap_or_default()),
        _ => found,
    }
}

fn in_path(path: &str) -> Vec<PciAddress> {
    path.split('/').filter_map(|part| part.parse().ok()).collect()
}

/// `\040` and its like in /proc/mounts.
fn unescape(place: &str) -> String {
    place.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// The interfaces of default routes: destination and mask 0 in `/proc/net/route`.
fn routes(root: &Root) -> Vec<Use> {
    let table = root.text("/proc/net/route").unwrap_or_default();
    let interface = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        (default && flags & UP_AND_GATEWAY == UP_AND_GATEWAY).then(|| fields[0].to_owned())
    };
    let mut uses = Vec::new();
    for interface in table.lines().skip(1).filter_map(interface) {
        // A bridge or bond stands for the interfaces in it.
        let home = format!("/sys/class/net/{interface}");
        let members = root.names(&format!("{home}/brif")).into_iter();
        let bonded = root.attribute(&format!("{home}/bonding/slaves")).unwrap_or_default();
        let all = members.chain(bonded.split_ascii_whitespace().map(str::to_owned)).chain([interface.clone()]);
        for member in all {
            let path = in_path(&root.link(&format!("/sys/class/net/{member}")).unwrap_or_default());
            if !path.is_empty() {
                uses.push(Use { path, what: Purpose::DefaultRoute { interface: member } });
            }
        }
    }
    uses
}

/// Keyboards: what the kernel lets send SysRq, and has lights to show it (power buttons have none).
fn keyboards(root: &Root) -> Vec<Use> {
    let table = root.text("/proc/bus/input/devices").unwrap_or_default();
    let keyboard = |paragraph: &str| {
        let line = |prefix: &str| paragraph.lines().find_map(|line| line.strip_prefix(prefix));
        let handlers: Vec<&str> = line("H: Handlers=")?.split_ascii_whitespace().collect();
        let is_one = ["sysrq", "kbd", "leds"].iter().all(|name| handlers.contains(name));
        let name = line("N: Name=")?.trim_matches('"').to_owned();
        let way = line("S: Sysfs=").unwrap_or_default();
        // One that a program pretends (uinput) is of no use to somebody at the machine.
        let is_real = !way.starts_with("/devices/virtual/");
        (is_one && is_real).then(|| Use { path: in_path(way), what: Purpose::Keyboard { name, port: usb_port(way) } })
    };
    table.split("\n\n").filter_map(keyboard).collect()
}

/// The USB port in the path of an input device: the last part such as `1-4.2`, above its interface `1-4.2:1.0`.
fn usb_port(way: &str) -> Option<String> {
    let is_port = |part: &&str| {
        part.split_once('-').is_some_and(|(bus, ports)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits(bus) && ports.split('.').all(digits)
        })
    };
    way.split('/').rfind(is_port).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Capture;

    fn root(text: &str) -> Root {
        let place = tempfile::NamedTempFile::new().unwrap();
        Capture::parse(&format!("vgapt capture 1\n{text}")).unwrap();
        std::fs::write(place.path(), format!("vgapt capture 1\n{text}")).unwrap();
        Root::open(place.path()).unwrap()
    }

    #[test]
    fn what_hangs_on_a_controller() {
        let root = root(
            "[/proc]\nmounts |\n| /dev/mapper/vg-root / ext4 rw 0 0\n| /dev/nvme0n1p1 /boot/my\\040efi vfat rw 0 0\n| tmpfs /tmp tmpfs rw 0 0\nswaps |\n| Filename Type Size Used Priority\n| /dev/sda3 partition 1 0 -2\n\
             [/proc/net]\nroute |\n| Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n| eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n\
             [/proc/bus/input]\ndevices |\n| N: Name=\"Power Button\"\n| S: Sysfs=/devices/LNXSYSTM:00\n| H: Handlers=kbd event0 \n|\n| N: Name=\"A Keyboard\"\n| S: Sysfs=/devices/pci0000:00/0000:00:14.0/usb1/1-1\n| H: Handlers=sysrq kbd leds event1 \n\
             [/sys/class/net]\neth0 -> ../../devices/pci0000:00/0000:00:1f.6/net/eth0\n\
             [/sys/class/block]\nnvme0n1p1 -> ../../devices/pci0000:00/0000:00:01.1/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p1\nsda3 -> ../../devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda3\ndm-0 -> ../../devices/virtual/block/dm-0\n\
             [/sys/devices/virtual/block/dm-0/dm]\nname = vg-root\n[/sys/devices/virtual/block/dm-0/slaves]\nsda3 -> ../../../../pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda3\n\
             [/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda3]\nsize = 1\n[/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p1]\nsize = 1\n",
        );
        let found: Vec<String> = read(&root)
            .known
            .iter()
            .map(|used| format!("{} {:?}", used.path.last().map(|address| address.short()).unwrap_or_default(), used.what))
            .collect();
        assert_eq!(
            found,
            [
                "02:00.0 Disk { name: \"nvme0n1p1\", place: \"/boot/my efi\" }",
                "00:17.0 Disk { name: \"sda3\", place: \"/\" }",
                "00:17.0 Disk { name: \"sda3\", place: \"swap\" }",
                "00:1f.6 DefaultRoute { interface: \"eth0\" }",
                "00:14.0 Keyboard { name: \"A Keyboard\", port: Some(\"1-1\") }",
            ]
        );
        // Through the volume that is made of it.
        assert_eq!(use_of(&root, "/dev/sda3").as_deref(), Some("mounted on /"));
        assert_eq!(use_of(&root, "/dev/mapper/vg-root").as_deref(), Some("mounted on /"));
        assert_eq!(use_of(&root, "/vm/a.qcow2"), None);
    }
}
