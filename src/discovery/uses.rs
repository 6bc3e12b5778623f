//! What the host uses its devices for: disks in use, the network of the default route, keyboards.

use std::collections::BTreeSet;

use crate::model::{PciAddress, Reading, Use, UsedFor, Uses, WithoutDisk};
use crate::root::Root;

pub(super) const BLOCK: &str = "/sys/class/block";
/// The kernel's tables that show what the host uses its devices for.
pub(super) const TABLES: [&str; 4] = ["/proc/mounts", "/proc/swaps", "/proc/net/route", "/proc/bus/input/devices"];
/// Has a folder for each imported ZFS pool.
const POOLS: &str = "/proc/spl/kstat/zfs";
/// The longest chain of stacked devices (partition, RAID, LUKS, LVM, …) that is followed.
const DEEPEST: usize = 16;

/// Like `read`, for a host whose files may not be accessible.
pub fn read_from(root: Option<&Root>) -> Uses {
    root.map_or_else(|| Uses { unknown: vec!["the host's files are not accessible from here".to_owned()], ..Uses::default() }, read)
}

pub(super) fn read(root: &Root) -> Uses {
    let mut known = disks(root);
    known.extend(routes(root));
    known.extend(keyboards(root));
    known.sort_by(|a, b| a.what.cmp(&b.what));
    known.dedup();
    // A running system always has these; a tree or a capture may contain only a part of a machine.
    let unread = |path: &&str| match root.reading(path) {
        Reading::Unknown(because) => Some(because),
        Reading::Absent if root.is_live() => Some(format!("{path} does not exist")),
        Reading::Absent | Reading::Known(_) => None,
    };
    // A host without IPv6 has no such table.
    let ipv6 = root.reading("/proc/net/ipv6_route").unknown().map(str::to_owned);
    let folders = [BLOCK, "/sys/class/net"].into_iter().filter_map(|folder| root.entries(folder).unknown().map(str::to_owned));
    Uses { known, unknown: TABLES.iter().filter_map(unread).chain(ipv6).chain(folders).collect(), without_disk: without_disk(root) }
}

/// The root file system and the imported ZFS pools of which no disk was found.
fn without_disk(root: &Root) -> Vec<WithoutDisk> {
    let mounts = root.text("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    let mounted: Vec<(&str, &str, &str)> = fields.collect();
    // Of several mounts the last one is visible.
    let of_root = mounted.iter().rev().find(|(_, place, _)| *place == "/");
    let without = of_root.filter(|(source, _, _)| source.starts_with("/dev/")).filter(|(source, _, _)| {
        let name = source.split(':').find_map(|source| device_of(root, source));
        !name.is_some_and(|name| parts(root, &name).iter().any(|part| is_found(root, part)))
    });
    let device = without.map(|(source, _, _)| WithoutDisk {
        because: format!("the root file system is on {source}, whose disk was not found ({BLOCK})"),
        is_nvme: is_nvme(source),
    });
    let of_mounts = mounted.iter().filter(|(_, _, kind)| *kind == "zfs").map(|(source, _, _)| source.split('/').next().unwrap_or(source));
    let mut pools: BTreeSet<String> = of_mounts.map(str::to_owned).collect();
    // Beside them are files of the whole module.
    pools.extend(root.names(POOLS).into_iter().filter(|pool| root.exists(&format!("{POOLS}/{pool}/state"))));
    let members = if pools.is_empty() { Vec::new() } else { members(root) };
    let unresolved = pools.into_iter().filter(|pool| !members.iter().any(|(_, place)| *place == in_pool(pool)));
    let pools = unresolved.map(|pool| WithoutDisk {
        because: format!("the ZFS pool {pool} is in use, and its disks were not found (/run/udev/data)"),
        is_nvme: None,
    });
    device.into_iter().chain(pools).collect()
}

/// Whether a block device is on an `NVMe` disk, by the kernel's name for it; names of other programs tell nothing.
fn is_nvme(source: &str) -> Option<bool> {
    let name = source.strip_prefix("/dev/")?;
    let is_of = |kind: &str| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if is_of("nvme") { Some(true) } else { ["sd", "hd", "vd", "xvd", "mmcblk"].into_iter().any(is_of).then_some(false) }
}

/// Whether it is known where a block device is: behind a PCI function, on another bus, or on no bus, as a loop device.
fn is_found(root: &Root, name: &str) -> bool {
    let is_on_no_bus = || ["loop", "nbd", "rbd", "ram", "zram"].iter().any(|kind| name.starts_with(kind));
    let Some(path) = root.link(&format!("{BLOCK}/{name}")) else { return false };
    !addresses(root, name).is_empty() || !path.contains("/virtual/") || is_on_no_bus()
}

/// How the host uses a disk; `None` if no use is known.
pub(super) fn use_of(root: &Root, path: &str) -> Option<String> {
    of_block(root, &device_name(root, path)?, &in_use(root))
}

/// The size of a disk's logical sectors, in bytes; of a partition its disk's.
pub(super) fn sector_of(root: &Root, path: &str) -> Option<u32> {
    let own = root.real_path(&format!("{BLOCK}/{}", device_name(root, path)?))?;
    let (disk, _) = own.rsplit_once('/')?;
    let size = |place: &str| root.attribute(&format!("{place}/queue/logical_block_size"));
    size(&own).or_else(|| size(disk))?.parse().ok()
}

/// A disk is in use if one of its partitions, or a volume built from either, is in use.
fn of_block(root: &Root, disk: &str, used: &[(String, String)]) -> Option<String> {
    let partitions = root.names(&format!("{BLOCK}/{disk}")).into_iter().filter(|part| part.starts_with(disk));
    let devices: Vec<String> = std::iter::once(disk.to_owned()).chain(partitions).collect();
    if let Some((_, place)) = used.iter().find(|(name, _)| devices.contains(name)) {
        return Some(match place.as_str() {
            UsedFor::SWAP => "used as swap".to_owned(),
            place if place.starts_with('/') => format!("mounted on {place}"),
            place => place.to_owned(),
        });
    }
    devices.iter().find_map(|device| {
        let holder = root.names(&format!("{BLOCK}/{device}/holders")).into_iter().next()?;
        Some(format!("part of {holder}"))
    })
}

fn disks(root: &Root) -> Vec<Use> {
    let used = in_use(root);
    // Also disks that are part of a volume that is not mounted itself: an array, a volume group, a pool.
    let is_disk = |name: &String| !root.exists(&format!("{BLOCK}/{name}/partition"));
    let parts = root.names(BLOCK).into_iter().filter(is_disk).filter_map(|name| {
        let place = of_block(root, &name, &[])?;
        (!used.iter().any(|(other, _)| other.starts_with(&name))).then_some((name, place))
    });
    let with_way = |(name, place): (String, String)| {
        let path = addresses(root, &name);
        // A disk without a PCI function above it (a loop device, a network disk) is not affected by passing any function.
        (!path.is_empty()).then_some(Use { path, what: UsedFor::Disk { name, place } })
    };
    let parts: Vec<(String, String)> = parts.collect();
    used.into_iter().chain(parts).filter_map(with_way).collect()
}

/// The block devices that are mounted or used as swap, and all devices below them, each with the mount point.
fn in_use(root: &Root) -> Vec<(String, String)> {
    let mounts = root.text("/proc/mounts").unwrap_or_default();
    let swaps = root.text("/proc/swaps").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let (source, place) = line.split_once(' ')?;
        Some((source.to_owned(), unescape(place.split(' ').next()?)))
    });
    let swapped =
        swaps.lines().skip(1).filter_map(|line| Some((line.split_ascii_whitespace().next()?.to_owned(), UsedFor::SWAP.to_owned())));
    // bcachefs lists all of its devices, separated by colons.
    let each = mounted.chain(swapped).flat_map(|(source, place)| {
        let sources: Vec<(String, String)> = source.split(':').map(|one| (one.to_owned(), place.clone())).collect();
        if source.starts_with("/dev/") { sources } else { vec![(source, place)] }
    });
    let of = |(source, place): (String, String)| {
        let all = device_of(root, &source).map(|name| parts(root, &name)).unwrap_or_default();
        all.into_iter().map(move |name| (name, place.clone()))
    };
    let with_parts = |(name, place): (String, String)| parts(root, &name).into_iter().map(move |name| (name, place.clone()));
    each.flat_map(of).chain(members(root).into_iter().flat_map(with_parts)).collect()
}

/// The kernel name of what is mounted.
fn device_of(root: &Root, source: &str) -> Option<String> {
    if source == "/dev/root" { root_device(root) } else { block_name(root, source) }
}

/// The block device of the root file system, if the kernel mounted it itself and shows it as `/dev/root`.
fn root_device(root: &Root) -> Option<String> {
    let device = root.excerpt("/proc/self/mountinfo", |text| {
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of_root = text.lines().map(fields).find(|fields| fields.get(4).is_some_and(|place| place == "/"));
        of_root.and_then(|fields| fields.get(2).cloned()).unwrap_or_default()
    })?;
    let number = device.trim();
    let has_number = |name: &String| root.attribute(&format!("{BLOCK}/{name}/dev")).as_deref() == Some(number);
    root.link_name(&format!("/sys/dev/block/{number}")).or_else(|| root.names(BLOCK).into_iter().find(has_number))
}

/// The devices of file systems with several devices, of which `/proc/mounts` shows at most one: of a
/// mounted btrfs, and of an imported ZFS pool.
fn members(root: &Root) -> Vec<(String, String)> {
    const BTRFS: &str = "/sys/fs/btrfs";
    let of_btrfs = root.names(BTRFS).into_iter().flat_map(|id| {
        let devices = root.names(&format!("{BTRFS}/{id}/devices"));
        devices.into_iter().map(|name| (name, "part of a mounted btrfs".to_owned()))
    });
    let pools: Vec<String> = root.names(POOLS);
    let pool_of = |name: &String| {
        let number = root.attribute(&format!("{BLOCK}/{name}/dev"))?;
        // udev's database contains blkid's results. The label of a ZFS member is the name of its pool.
        let found = root.excerpt(&format!("/run/udev/data/b{number}"), |text| {
            let wanted = |line: &&str| line.starts_with("E:ID_FS_TYPE=") || line.starts_with("E:ID_FS_LABEL=");
            text.lines().filter(wanted).fold(String::new(), |all, line| all + line + "\n")
        })?;
        let is_member = found.lines().any(|line| line == "E:ID_FS_TYPE=zfs_member");
        let label = found.lines().find_map(|line| line.strip_prefix("E:ID_FS_LABEL=")).filter(|_| is_member)?;
        pools.iter().find(|pool| *pool == label).map(|pool| (name.clone(), in_pool(pool)))
    };
    let blocks = if pools.is_empty() { Vec::new() } else { root.names(BLOCK) };
    of_btrfs.chain(blocks.iter().filter_map(pool_of)).collect()
}

/// What is said of a disk of a ZFS pool.
fn in_pool(pool: &str) -> String {
    format!("part of the ZFS pool {pool}")
}

/// The kernel name of a block device, also for a link to it that is not below /dev.
fn device_name(root: &Root, path: &str) -> Option<String> {
    block_name(root, path).or_else(|| block_name(root, &root.real_path(path)?))
}

/// The kernel name of a block device, also for `/dev/mapper/…` and `/dev/disk/…`.
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

/// A block device and all devices below it.
fn parts(root: &Root, name: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut layer = vec![name.to_owned()];
    for _ in 0..DEEPEST {
        layer.retain(|name| all.insert(name.clone()));
        layer = layer.iter().flat_map(|name| root.names(&format!("{BLOCK}/{name}/slaves"))).collect();
    }
    all
}

/// The PCI functions above a block device.
fn addresses(root: &Root, name: &str) -> Vec<PciAddress> {
    let path = root.link(&format!("{BLOCK}/{name}")).unwrap_or_default();
    let found = PciAddress::in_path(&path);
    // With native multipath, an NVMe disk is below a virtual device; its controller has the same number.
    match name.strip_prefix("nvme").and_then(|rest| rest.split('n').next()) {
        Some(number) if found.is_empty() => {
            PciAddress::in_path(&root.real_path(&format!("/sys/class/nvme/nvme{number}/device")).unwrap_or_default())
        }
        _ => found,
    }
}

/// Replaces `\040` and similar escapes of /proc/mounts.
fn unescape(place: &str) -> String {
    place.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// The interfaces of default routes: destination and mask 0 in `/proc/net/route`, 0/0 in `/proc/net/ipv6_route`.
fn routes(root: &Root) -> Vec<Use> {
    let of_ipv4 = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        (default && is_up(fields.get(3)?)).then(|| fields[0].to_owned())
    };
    let of_ipv6 = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let default = fields.first()?.bytes().all(|byte| byte == b'0') && fields.get(1) == Some(&"00");
        (default && is_up(fields.get(8)?)).then(|| (*fields[9..].first().unwrap_or(&"lo")).to_owned())
    };
    // The file of a protocol that the host does not use is missing or empty.
    let ipv4 = root.text("/proc/net/route").unwrap_or_default();
    let ipv6 = root.text("/proc/net/ipv6_route").unwrap_or_default();
    let interfaces: BTreeSet<String> =
        ipv4.lines().skip(1).filter_map(of_ipv4).chain(ipv6.lines().filter_map(of_ipv6)).filter(|name| name != "lo").collect();
    let all: BTreeSet<String> = interfaces.into_iter().flat_map(|interface| carriers(root, interface)).collect();
    let with_way = |interface: String| {
        let path = PciAddress::in_path(&root.link(&format!("/sys/class/net/{interface}")).unwrap_or_default());
        // A bridge or a tunnel has no PCI function.
        (!path.is_empty()).then_some(Use { path, what: UsedFor::DefaultRoute { interface } })
    };
    all.into_iter().filter_map(with_way).collect()
}

/// Whether a route is up and not a reject route (`RTF_UP`, `RTF_REJECT` of the kernel's route.h).
fn is_up(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & 0x1 != 0 && flags & 0x200 == 0)
}

/// An interface and all interfaces below it: the ports of a bridge, the members of a bond, the parent of a VLAN.
fn carriers(root: &Root, interface: String) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut layer = vec![interface];
    for _ in 0..DEEPEST {
        layer.retain(|name| all.insert(name.clone()));
        let below = |name: &String| {
            let home = format!("/sys/class/net/{name}");
            let lower = root.names(&home).into_iter().filter_map(|entry| entry.strip_prefix("lower_").map(str::to_owned));
            let bonded = root.attribute(&format!("{home}/bonding/slaves")).unwrap_or_default();
            let bonded: Vec<String> = bonded.split_ascii_whitespace().map(str::to_owned).collect();
            lower.chain(root.names(&format!("{home}/brif"))).chain(bonded).collect::<Vec<_>>()
        };
        layer = layer.iter().flat_map(below).collect();
    }
    all
}

/// Keyboards: input devices with SysRq and LEDs (power buttons have no LEDs).
fn keyboards(root: &Root) -> Vec<Use> {
    let table = root.text("/proc/bus/input/devices").unwrap_or_default();
    let keyboard = |paragraph: &str| {
        let line = |prefix: &str| paragraph.lines().find_map(|line| line.strip_prefix(prefix));
        let handlers: Vec<&str> = line("H: Handlers=")?.split_ascii_whitespace().collect();
        let is_one = ["sysrq", "kbd", "leds"].iter().all(|name| handlers.contains(name));
        let name = line("N: Name=")?.trim_matches('"').to_owned();
        let way = line("S: Sysfs=").unwrap_or_default();
        // A virtual keyboard (uinput) is not a keyboard at the machine.
        let is_real = !way.starts_with("/devices/virtual/");
        (is_one && is_real).then(|| Use { path: PciAddress::in_path(way), what: UsedFor::Keyboard { name, port: usb_port(way) } })
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
             [/vm]\nlink -> /dev/sda3\n\
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
        // In use through the volume built from it.
        assert_eq!(use_of(&root, "/dev/sda3").as_deref(), Some("mounted on /"));
        assert_eq!(use_of(&root, "/dev/mapper/vg-root").as_deref(), Some("mounted on /"));
        assert_eq!(use_of(&root, "/vm/a.qcow2"), None);
        // By a link from elsewhere.
        assert_eq!(use_of(&root, "/vm/link").as_deref(), Some("mounted on /"));
    }

    #[test]
    fn a_root_file_system_without_a_disk_is_no_unused_disk() {
        let nvme = "[/sys/class/block]\nnvme0n1p1 -> ../../devices/pci0000:00/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p1\n\
             [/sys/devices/pci0000:00/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p1]\ndev = 259:1\n";
        let uses = |mounts: &str, more: &str| read(&root(&format!("[/proc]\nmounts |\n| {mounts}\n{more}")));
        let number = |number: &str| format!("[/proc/self]\nmountinfo |\n| 22 1 {number} / / rw - ext4 /dev/root rw\n{nvme}");
        // By its number, also without /sys/dev/block.
        let found = uses("/dev/root / ext4 rw 0 0", &number("259:1"));
        assert!(found.known.len() == 1 && found.without_disk.is_empty(), "{found:?}");
        for (mounts, more, said, is_nvme) in [
            ("/dev/root / ext4 rw 0 0", number("8:1").as_str(), "on /dev/root", None),
            ("/dev/nvme0n1p2 / ext4 rw 0 0", "", "on /dev/nvme0n1p2", Some(true)),
            ("/dev/sda2 / ext4 rw 0 0", "", "on /dev/sda2", Some(false)),
            ("/dev/mapper/x / ext4 rw 0 0", nvme, "on /dev/mapper/x", None),
            ("rpool/ROOT/pve-1 / zfs rw 0 0", nvme, "ZFS pool rpool", None),
        ] {
            let [one] = &uses(mounts, more).without_disk[..] else { panic!("{mounts}") };
            assert!(one.because.contains(said) && one.is_nvme == is_nvme, "{one:?}");
        }
        for (mounts, more) in [("/dev/nvme0n1p1 / ext4 rw 0 0", nvme), ("overlay / overlay rw 0 0", ""), ("host:/r / nfs4 rw 0 0", "")] {
            assert_eq!(uses(mounts, more).without_disk, [], "{mounts}");
        }
    }

    #[test]
    fn file_systems_of_several_devices_and_other_routes() {
        let root = root(
            "[/proc]\nmounts |\n| rpool/ROOT / zfs rw 0 0\n| /dev/sdc1 /data btrfs rw 0 0\n\
             [/proc/spl/kstat/zfs/rpool]\nstate = ONLINE\n\
             [/run/udev/data]\nb8:1 |\n| E:ID_FS_TYPE=zfs_member\n| E:ID_FS_LABEL=rpool\nb8:17 |\n| E:ID_FS_TYPE=zfs_member\n| E:ID_FS_LABEL=tank\n\
             [/sys/class/block]\nsda1 -> ../../devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda1\nsdb1 -> ../../devices/pci0000:00/0000:02:00.0/host8/block/sdb/sdb1\nsdc1 -> ../../devices/pci0000:00/0000:00:18.0/host9/block/sdc/sdc1\nsdd1 -> ../../devices/pci0000:00/0000:00:19.0/host9/block/sdd/sdd1\n\
             [/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda/sda1]\ndev = 8:1\n[/sys/devices/pci0000:00/0000:02:00.0/host8/block/sdb/sdb1]\ndev = 8:17\n\
             [/sys/devices/pci0000:00/0000:00:18.0/host9/block/sdc/sdc1]\ndev = 8:33\n[/sys/devices/pci0000:00/0000:00:19.0/host9/block/sdd/sdd1]\ndev = 8:49\n\
             [/sys/fs/btrfs/1-2/devices]\nsdc1 -> ../../../../devices/pci0000:00/0000:00:18.0/host9/block/sdc/sdc1\nsdd1 -> ../../../../devices/pci0000:00/0000:00:19.0/host9/block/sdd/sdd1\n\
             [/proc/net]\nipv6_route |\n| 00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0.5\n| 00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n\
             [/sys/class/net]\neth0 -> ../../devices/pci0000:00/0000:00:1f.6/net/eth0\neth0.5 -> ../../devices/virtual/net/eth0.5\n[/sys/devices/virtual/net/eth0.5]\nlower_eth0 -> ../../../pci0000:00/0000:00:1f.6/net/eth0\n",
        );
        let found: Vec<String> = read(&root)
            .known
            .iter()
            .map(|used| {
                let at = used.path.last().map(|address| address.short()).unwrap_or_default();
                match &used.what {
                    UsedFor::Disk { name, place } => format!("{at} {name} {place}"),
                    UsedFor::DefaultRoute { interface } => format!("{at} route {interface}"),
                    UsedFor::Keyboard { .. } => at,
                }
            })
            .collect();
        // The pool "tank" is not imported: its disks are not in use.
        assert_eq!(
            found,
            [
                "00:17.0 sda1 part of the ZFS pool rpool",
                "00:18.0 sdc1 /data",
                "00:18.0 sdc1 part of a mounted btrfs",
                "00:19.0 sdd1 part of a mounted btrfs",
                "00:1f.6 route eth0",
            ]
        );
    }
}
