//! The present state of a host: `/dev/kvm`, the IOMMUs, interrupts, modules, power, free memory, what runs, ROMs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::files::{QEMU_CONF, qemu_account};
use super::platform::IOMMUS;
use super::{dkms, hook, kernel_log};
use crate::model::{
    FreeBlocks, Holder, Holders, Host, HostSource, KvmNode, Observed, PciAddress, PciDevice, Reading, Rom, RomState, Setup,
};
use crate::root::Root;

const KVM: &str = "/dev/kvm";
const READ_AND_WRITE: u32 = 6;

/// Reads the present state of a host; `is_root` says whether vgapt runs as root.
pub fn observe(root: &Root, host: &Host, setup: &Setup, is_root: bool) -> Observed {
    Observed { log: kernel_log::read(root), ..observe_without_log(root, host, setup, is_root) }
}

/// The same without the kernel log, of which each line is read on its own.
pub fn observe_without_log(root: &Root, host: &Host, setup: &Setup, is_root: bool) -> Observed {
    let reach = match () {
        () if root.is_live() => HostSource::Live { root: is_root },
        () if root.is_capture() => HostSource::Recorded,
        () => HostSource::Tree,
    };
    // A tree without programs or CPUs contains only a part of a machine: missing files there mean nothing.
    let whole = reach.is_live() || (!setup.programs.is_empty() && !host.cpu.flags.is_empty());
    let told = |found: Vec<String>| (whole || !found.is_empty()).then_some(found);
    let qemu_driver = qemu_driver(root);
    let directory_is_closed = reach == HostSource::Live { root: false } && root.status("/var/lib/libvirt/images").is_none();
    Observed {
        reach,
        kvm: kvm(root).or(whole.then_some(KvmNode { there: false, mode: 0, qemu_may: None })),
        iommus: root.names(IOMMUS),
        interrupt_chips: interrupt_chips(root),
        // systemd makes the folder for its socket at its start, and removes it at its end (its unit: RuntimeDirectory).
        irqbalance: root.presence("/run/irqbalance"),
        unsafe_interrupts: root.attribute("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts").map(|text| text == "Y"),
        d3cold_allowed: power(root, host),
        free_blocks: root.text("/proc/buddyinfo").map(|text| free_blocks(&text)).unwrap_or_default(),
        libvirt: None,
        libvirt_sockets: told(sockets(root)),
        qemu_driver: (whole || qemu_driver).then_some(qemu_driver),
        virtio_discs: told(virtio_discs(root)).filter(|found| !found.is_empty() || !directory_is_closed),
        smb_listeners: smb_listeners(root),
        hook: hook::read(root),
        dkms: dkms::read(root),
        ..Observed::default()
    }
}

fn kvm(root: &Root) -> Option<KvmNode> {
    let status = root.status(KVM)?;
    let everybody = status.mode & READ_AND_WRITE == READ_AND_WRITE;
    // Without qemu.conf the account is only assumed.
    let is_known = !root.is_capture() && root.reading(QEMU_CONF).unknown().is_none();
    let by_right = qemu_account(root).filter(|_| is_known).map(|account| {
        let shift = if status.uid == account.uid { 6 } else { 3 };
        let owns = status.uid == account.uid || account.gids.contains(&status.gid);
        owns && status.mode >> shift & READ_AND_WRITE == READ_AND_WRITE
    });
    Some(KvmNode { there: true, mode: status.mode, qemu_may: if everybody { Some(true) } else { by_right } })
}

/// The kinds of interrupt controllers, such as `IR-PCI-MSI`, which show whether interrupts are remapped.
fn interrupt_chips(root: &Root) -> Vec<String> {
    let chips = |text: &str| {
        let is_one = |word: &&str| word.contains("IO-APIC") || word.contains("MSI");
        let plain = |word: &str| word.split("-0000:").next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = text.split_ascii_whitespace().filter(is_one).map(plain).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| format!("{name}\n")).collect()
    };
    root.excerpt("/proc/interrupts", chips).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn power(root: &Root, host: &Host) -> BTreeMap<PciAddress, bool> {
    let cards = host.pci.iter().filter(|device| device.class.is_display());
    let allowed = |device: &PciDevice| {
        let text = root.attribute(&format!("/sys/bus/pci/devices/{}/d3cold_allowed", device.address))?;
        Some((device.address, text == "1"))
    };
    cards.filter_map(allowed).collect()
}

/// Lines such as `Node 0, zone   Normal   2034   6391 …`.
fn free_blocks(text: &str) -> Vec<FreeBlocks> {
    let zone = |line: &str| {
        let (node, rest) = line.strip_prefix("Node")?.split_once(", zone")?;
        let counts = rest.split_ascii_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(FreeBlocks { node: node.trim().parse().ok()?, counts })
    };
    text.lines().filter_map(zone).collect()
}

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

fn sockets(root: &Root) -> Vec<String> {
    SOCKETS.iter().filter(|path| root.exists(path)).map(|path| (*path).to_owned()).collect()
}

fn qemu_driver(root: &Root) -> bool {
    QEMU_DRIVERS.iter().any(|path| root.exists(path))
}

/// The addresses on which port 445 is open, from the kernel's tables; for IPv6 only the wildcard address.
fn smb_listeners(root: &Root) -> Option<Vec<Ipv4Addr>> {
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

fn virtio_discs(root: &Root) -> Vec<String> {
    let mut discs = Vec::new();
    for directory in DISC_DIRECTORIES {
        let names = root.names(directory);
        let is_one = |name: &&String| name.starts_with(DISC) && name.ends_with(".iso");
        let paths = names.iter().filter(is_one).map(|name| format!("{directory}/{name}"));
        discs.extend(paths.filter(|path| root.exists(path)));
    }
    discs
}

/// The processes that have nodes of these functions open or mapped; only root can check other users' processes.
pub fn holders(root: &Root, functions: &[PciAddress]) -> Holders {
    holders_of(root, &functions.iter().flat_map(|function| nodes(root, *function)).collect::<Vec<_>>())
}

/// The processes that have these nodes open or mapped, even if the driver has removed them meanwhile.
pub(super) fn holders_of(root: &Root, nodes: &[String]) -> Holders {
    let mut holders = Holders::default();
    if nodes.is_empty() {
        return holders;
    }
    let processes = root.entries("/proc");
    holders.unknown = processes.unknown().map(str::to_owned);
    let (end, mut left) = (Instant::now() + LONGEST_LOOK, MOST_MAPPINGS);
    for pid in processes.known().into_iter().flatten().filter_map(|name| name.parse::<u32>().ok()) {
        if left == 0 || Instant::now() >= end {
            let most = format!("no more than {} MiB of them are read, and for {} s", MOST_MAPPINGS >> 20, LONGEST_LOOK.as_secs());
            holders.unknown = Some(format!("the processes have too many mappings (/proc/PID/maps): {most}"));
            break;
        }
        match holder(root, pid, nodes, &mut left) {
            Reading::Known(holder) => holders.known.extend(holder),
            // The process has ended.
            Reading::Absent => {}
            Reading::Unknown(because) => holders.unknown = holders.unknown.or(Some(because)),
        }
    }
    holders
}

/// How long is looked for holders, and how much of the processes' mappings is read for that: libvirt waits for its hook. A desktop
/// with 500 processes has 40 MiB of them, which the kernel takes half a second to write. It has no cheaper list that is as right:
/// `map_files` costs more; the ioctl `PROCMAP_QUERY` (Linux 6.11) needs unsafe code; a module's use count says that nobody has a
/// node only where it is 0, and a desktop's sound server keeps that of the sound driver above; debugfs lists the clients of DRM,
/// not those of NVIDIA's driver or of sound.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
const MOST_MAPPINGS: usize = 256 << 20;

fn holder(root: &Root, pid: u32, nodes: &[String], left: &mut usize) -> Reading<Option<Holder>> {
    let node = |path: &str| nodes.iter().find(|node| *node == path.strip_suffix(" (deleted)").unwrap_or(path));
    root.link_targets(&format!("/proc/{pid}/fd"), |target| node(target).is_some()).then(|mut held| {
        // Who has mapped a node and closed it holds it too.
        let because = match root.reading(&format!("/proc/{pid}/maps")) {
            Reading::Known(text) => {
                *left = left.saturating_sub(text.len());
                held.extend(mapped(&text).map(str::to_owned));
                None
            }
            Reading::Absent => None,
            Reading::Unknown(because) => Some(because),
        };
        let mut held: Vec<String> = held.iter().filter_map(|path| node(path).cloned()).collect();
        held.sort_unstable();
        held.dedup();
        let name = || root.attribute(&format!("/proc/{pid}/comm")).unwrap_or_else(|| "unknown".into());
        match because {
            Some(because) if held.is_empty() => Reading::Unknown(because),
            _ => Reading::Known((!held.is_empty()).then(|| Holder { pid, name: name(), nodes: held })),
        }
    })
}

/// The device nodes in a `/proc/PID/maps`: the path is the last of six fields (proc(5)).
fn mapped(text: &str) -> impl Iterator<Item = &str> {
    memchr::memmem::find_iter(text.as_bytes(), " /dev/").filter_map(|at| text[at + 1..].lines().next())
}

/// The device nodes of a function in `/dev`: graphics, sound, I²C, and those of NVIDIA's driver.
pub fn nodes(root: &Root, function: PciAddress) -> Vec<String> {
    let home = format!("/sys/bus/pci/devices/{function}");
    let mut nodes: Vec<String> = root.names(&format!("{home}/drm")).iter().map(|name| format!("/dev/dri/{name}")).collect();
    for card in root.names(&format!("{home}/sound")) {
        for entry in root.names(&format!("{home}/sound/{card}")) {
            // `controlC1`, `pcmC1D3p`, `hwC1D0`, …
            if ["control", "pcm", "hw", "midi"].iter().any(|prefix| entry.starts_with(prefix)) {
                nodes.push(format!("/dev/snd/{entry}"));
            }
        }
    }
    // The buses of the card, and those of its outlets: `i2c_del_adapter` waits until nobody has them open.
    let outlets = root.names(&format!("{home}/drm")).into_iter().flat_map(|card| {
        let card_home = format!("{home}/drm/{card}");
        let outlets = root.names(&card_home).into_iter().filter(|name| name.starts_with(&format!("{card}-")));
        outlets.map(|outlet| format!("{card_home}/{outlet}")).collect::<Vec<_>>()
    });
    for place in std::iter::once(home.clone()).chain(outlets) {
        let is_bus = |name: &&String| name.strip_prefix("i2c-").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        nodes.extend(root.names(&place).iter().filter(is_bus).map(|name| format!("/dev/{name}")));
    }
    if let Ok(information) = root.text(&format!("/proc/driver/nvidia/gpus/{function}/information")) {
        let minor = information.lines().find_map(|line| line.strip_prefix("Device Minor:"));
        nodes.extend(minor.map(|minor| format!("/dev/nvidia{}", minor.trim())));
        // These nodes are shared by all cards of the driver; with a single card they belong to it.
        if root.names("/proc/driver/nvidia/gpus").len() == 1 {
            nodes.extend(["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"].map(str::to_owned));
        }
    }
    nodes
}

/// The longest ROM that is read; PCI limits the ROM region to 16 MiB.
const LONGEST: usize = 16 << 20;

/// The state of these functions' ROMs. A ROM is readable only after 1 was written to
/// its `rom` file; vgapt never does this, because it changes the state of the device.
pub fn roms(root: &Root, functions: &[PciAddress]) -> BTreeMap<PciAddress, RomState> {
    let state = |address: &PciAddress| {
        let path = format!("/sys/bus/pci/devices/{address}/rom");
        root.status(&path)?;
        let read = root.first_bytes(&path, LONGEST).ok().filter(|bytes| !bytes.is_empty());
        Some((*address, read.map_or(RomState::Disabled, |bytes| RomState::Read(Rom::parse(&bytes)))))
    };
    functions.iter().filter_map(state).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::model::Size;

    #[test]
    fn free_memory_by_its_pieces() {
        let text =
            "Node 0, zone      DMA      0 0 0 0 0 0 0 0 1 1 3\nNode 1, zone   Normal   9 9 9 9 9 9 9 9 9 2 1\ngarbage\nNode x, zone y z\n";
        let pieces = free_blocks(text);
        assert_eq!(pieces.len(), 2);
        assert_eq!((pieces[0].large(), pieces[1].large()), (Size::from_mib(14), Size::from_mib(8)));
    }

    #[test]
    fn open_files_that_cannot_be_read_are_unknown() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        let function: PciAddress = "0000:01:00.0".parse().unwrap();
        fs::create_dir_all(at(&format!("sys/bus/pci/devices/{function}/drm/card0"))).unwrap();
        fs::create_dir_all(at("proc/7/fd")).unwrap();
        fs::create_dir_all(at("proc/8")).unwrap();
        let root = Root::open(tree.path()).unwrap();
        // Process 8 has ended: its folder is being removed.
        assert_eq!(holders(&root, &[function]), Holders::default());
        // A symlink loop simulates a folder that even root cannot read.
        symlink("fd", at("proc/8/fd")).unwrap();
        let seen = holders(&root, &[function]);
        assert!(seen.known.is_empty() && seen.unknown.is_some_and(|because| because.contains("/proc/8/fd")));
        symlink("/dev/dri/card0", at("proc/7/fd/3")).unwrap();
        let seen = holders(&root, &[function]);
        assert_eq!((seen.known[0].pid, seen.known[0].nodes.join(" ")), (7, "/dev/dri/card0".to_owned()));
        assert!(seen.unknown.is_some());
    }
}
