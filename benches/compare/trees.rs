//! Host trees: the recorded machines, and made ones of any size. The same tree serves all, so it has
//! what lspci and the guide's loop read too, and the machine's own list of names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vgapt::root::Capture;

use crate::Result;

/// Where lspci takes its names from; the trees get a copy, so that both read the same.
const NAMES: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// The graphics cards of the largest servers. What is asked about each card is asked of all functions, so the time grows with
/// the product of both.
const CARDS: usize = 16;

/// All trees; gone with this.
pub(crate) struct Trees {
    /// The recorded machines, in order of name.
    pub(crate) recorded: Vec<Tree>,
    /// A made one of 500 functions.
    pub(crate) middle: Tree,
    /// A made one of 5,000 functions.
    pub(crate) large: Tree,
    /// For other files.
    pub(crate) directory: TempDir,
}

/// One machine.
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) functions: u32,
    /// Whether it has IOMMU groups, over which the guide's loop goes.
    pub(crate) has_groups: bool,
}

/// Unpacks and makes them.
pub(crate) fn all() -> Result<Trees> {
    let directory = tempfile::tempdir()?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts");
    let mut files: Vec<PathBuf> = fs::read_dir(fixtures)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "host"));
    files.sort();
    let recorded = files.iter().map(|file| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = directory.path().join(&name);
        Capture::load(file)?.unpack(&path)?;
        finished(name, path)
    });
    Ok(Trees {
        recorded: recorded.collect::<Result<_>>()?,
        middle: made(directory.path(), 500)?,
        large: made(directory.path(), 5000)?,
        directory,
    })
}

/// Blocks of ten functions: a root port with nine below it, in every fifth block a graphics card
/// among them, up to as many as a server has. 250 blocks fill a PCI domain.
fn made(directory: &Path, functions: usize) -> Result<Tree> {
    let name = format!("{functions} functions");
    let root = directory.join(format!("made-{functions}"));
    for block in 0..functions / 10 {
        let (domain, port) = (block / 250, block % 250);
        let bus = port + 1;
        let bridge = format!("{domain:04x}:00:{:02x}.{}", port / 8, port % 8);
        let above = format!("/sys/devices/pci{domain:04x}:00/{bridge}");
        let has_card = block % 5 == 0 && block / 5 < CARDS;
        function(&root, &above, &bridge, block * 10, ["60400", "8086:1901", "pcieport"])?;
        for below in 0..9 {
            let address = format!("{domain:04x}:{bus:02x}:{:02x}.{}", below / 8, below % 8);
            let (group, what) = match below {
                0 if has_card => (1, ["30000", "10DE:1401", "nouveau"]),
                1 if has_card => (1, ["40300", "10DE:0FBA", "snd_hda_intel"]),
                2 | 3 => (below, ["10802", "144D:A808", "nvme"]),
                4 => (below, ["C0330", "1B21:1242", "xhci_hcd"]),
                5 => (below, ["10601", "1022:7901", "ahci"]),
                _ => (below, ["20000", "8086:10ED", "ixgbevf"]),
            };
            function(&root, &format!("{above}/{address}"), &address, block * 10 + group, what)?;
        }
    }
    for (path, text) in [
        ("sys/firmware/acpi/tables/DMAR", ""),
        ("proc/cmdline", "root=/dev/sda2 ro quiet intel_iommu=on\n"),
        ("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx ept\n"),
        ("proc/sys/kernel/osrelease", "6.12.0\n"),
    ] {
        write(&root, path, text)?;
    }
    finished(name, root)
}

/// One function of a made tree, as far as a capture would have it.
fn function(root: &Path, home: &str, address: &str, group: usize, [class, id, driver]: [&str; 3]) -> Result<()> {
    let uevent = format!("DRIVER={driver}\nPCI_CLASS={class}\nPCI_ID={id}\nPCI_SUBSYS_ID=1043:8520\nPCI_SLOT_NAME={address}\n");
    write(root, &format!("{home}/uevent"), &uevent)?;
    let up = "../".repeat(home.matches('/').count() - 1);
    link(root, &format!("{home}/iommu_group"), &format!("{up}sys/kernel/iommu_groups/{group}"))?;
    link(root, &format!("/sys/bus/pci/devices/{address}"), &format!("../../..{}", home.trim_start_matches("/sys")))?;
    for (name, text) in [("numa_node", "-1\n"), ("driver_override", "(null)\n")] {
        write(root, &format!("{home}/{name}"), text)?;
    }
    if class == "30000" {
        write(root, &format!("{home}/boot_vga"), if address.starts_with("0000:01:") { "1\n" } else { "0\n" })?;
        write(root, &format!("{home}/reset_method"), "bus\n")?;
        let regions =
            "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n";
        write(root, &format!("{home}/resource"), regions)?;
    }
    Ok(())
}

/// Adds what a capture leaves out because vgapt reads it elsewhere: lspci's attributes, `config`,
/// the drivers' links and the listings of the groups, all from `uevent`.
fn finished(name: String, root: PathBuf) -> Result<Tree> {
    let devices = root.join("sys/bus/pci/devices");
    let (mut functions, mut has_groups) = (0_u32, false);
    for entry in fs::read_dir(&devices)? {
        let address = entry?.file_name().to_string_lossy().into_owned();
        let home = fs::canonicalize(devices.join(&address))?;
        lspci_attributes(&home)?;
        functions += 1;
        let Ok(target) = fs::read_link(home.join("iommu_group")) else { continue };
        has_groups = true;
        let group = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let member = format!("/sys/kernel/iommu_groups/{group}/devices/{address}");
        if root.join(&member[1..]).symlink_metadata().is_err() {
            link(&root, &member, &home.to_string_lossy())?;
        }
    }
    let own_names = root.join("usr/share/misc/pci.ids");
    if let Some(names) = NAMES.iter().find(|names| Path::new(names).exists()).filter(|_| !own_names.exists()) {
        fs::create_dir_all(root.join("usr/share/misc"))?;
        fs::copy(names, own_names)?;
    }
    Ok(Tree { name, path: root, functions, has_groups })
}

fn lspci_attributes(home: &Path) -> Result<()> {
    let uevent = fs::read_to_string(home.join("uevent"))?;
    let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("0");
    let hex = |text: &str| u32::from_str_radix(text, 16).unwrap_or_default();
    let pair = |key: &str| value(key).split_once(':').map(|(vendor, device)| (hex(vendor), hex(device))).unwrap_or_default();
    let class = hex(value("PCI_CLASS"));
    let ((vendor, device), (subsystem_vendor, subsystem_device)) = (pair("PCI_ID"), pair("PCI_SUBSYS_ID"));
    for (name, text) in [
        ("vendor", format!("0x{vendor:04x}\n")),
        ("device", format!("0x{device:04x}\n")),
        ("class", format!("0x{class:06x}\n")),
        ("subsystem_vendor", format!("0x{subsystem_vendor:04x}\n")),
        ("subsystem_device", format!("0x{subsystem_device:04x}\n")),
        ("revision", "0x00\n".to_owned()),
    ] {
        if !home.join(name).exists() {
            fs::write(home.join(name), text)?;
        }
    }
    if !home.join("config").exists() {
        let mut config = [0_u8; 64];
        for (at, half) in [(0, vendor), (2, device), (9, class), (10, class >> 8), (44, subsystem_vendor), (46, subsystem_device)] {
            config[at..at + 2].copy_from_slice(&half.to_le_bytes()[..2]);
        }
        config[14] = u8::from(class >> 8 == 0x0604);
        fs::write(home.join("config"), config)?;
    }
    let driver = value("DRIVER");
    if driver != "0" && home.join("driver").symlink_metadata().is_err() {
        symlink(Path::new("/sys/bus/pci/drivers").join(driver), home.join("driver"))?;
    }
    Ok(())
}

pub(crate) fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let place = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap_or(root))?;
    Ok(fs::write(place, text)?)
}

fn link(root: &Path, path: &str, target: &str) -> Result<()> {
    let place = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap_or(root))?;
    Ok(symlink(target, place)?)
}
