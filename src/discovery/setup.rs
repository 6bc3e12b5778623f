//! The setup of the host: configuration files, kernels, boot, programs, use of devices.

use std::collections::BTreeMap;

use super::{config, firmware, hook, libvirt, ostree, uses};
use crate::model::{Booted, Host, Kernel, LocalInitramfs, ModuleState, PciAddress, PciDevice, Setup, Size, StagedState};
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
    "sdboot-manage",
    "sdbootutil",
    "smbd",
    "swtpm",
    "system76-power",
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

const PROGRAM_DIRECTORIES: [&str; 5] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];

/// Helper programs, and their paths on different distributions.
const HELPERS: [(&str, &str); 4] = [
    ("qemu-kvm", "/usr/libexec/qemu-kvm"),
    ("virtiofsd", "/usr/libexec/virtiofsd"),
    ("virtiofsd", "/usr/lib/qemu/virtiofsd"),
    ("virtiofsd", "/usr/lib/virtiofsd"),
];

const WRITTEN: [&str; 5] = ["/", "/boot", "/boot/efi", "/efi", "/var"];

/// The folders of boot images, and the prefixes of their names.
const IMAGE_DIRECTORIES: [&str; 4] = ["/boot", "/boot/EFI/Linux", "/boot/efi/EFI/Linux", "/efi/EFI/Linux"];
const IMAGES: [&str; 4] = ["booster", "initrd", "initramfs", "vmlinuz"];

/// Reads the setup of a host; `host` is needed to select the relevant modules.
pub fn setup(root: &Root, host: &Host) -> Setup {
    let kernels = kernels(root, host);
    let vfio = kernels.iter().filter_map(|kernel| Some((kernel.release.clone(), vfio(root, host, kernel)?))).collect();
    let (files, closed) = config::read(root);
    let mut unread = config::unread(root, &files);
    unread.extend(closed);
    let folders = program_folders(root);
    unread.extend(unread_kernels(root, &kernels));
    Setup {
        unread,
        booted: booted(root),
        local_initramfs: LocalInitramfs(ostree::local_initramfs(root, &files)),
        staged: StagedState(ostree::staged(root)),
        has_sources: ostree::has_sources(root),
        claimants: claimants(root, host, &kernels),
        kernels,
        vfio,
        programs: PROGRAMS.iter().filter(|name| is_program(root, &folders, name)).map(|name| (*name).to_owned()).collect(),
        keeps_modes: PROGRAMS.iter().any(|name| is_executable(root, &folders, name)),
        uses: uses::read(root),
        room: WRITTEN.iter().filter_map(|path| Some(((*path).to_owned(), Size::from_bytes(root.free_bytes(path)?)))).collect(),
        images: images(root),
        firmwares: firmware::firmwares(root),
        networks: libvirt::networks(root),
        hook_program: hook::program(root),
        missing_programs: config::missing_programs(root, &files),
        files,
        in_domains: libvirt::functions_of_domains(root),
        of_hooks: hook::writes(root),
        sh: root.real_path("/bin/sh").filter(|place| root.exists(place)),
    }
}

/// The folders of programs that this host has, each once: on most, /bin is a link to /usr/bin.
fn program_folders(root: &Root) -> Vec<String> {
    let mut folders: Vec<String> = PROGRAM_DIRECTORIES.iter().filter_map(|folder| root.real_path(folder)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.retain(|folder| root.exists(folder));
    folders
}

fn is_program(root: &Root, folders: &[String], name: &str) -> bool {
    let helper = HELPERS.iter().any(|(known, path)| *known == name && root.exists(path));
    helper || folders.iter().any(|directory| root.exists(&format!("{directory}/{name}")))
}

fn is_executable(root: &Root, folders: &[String], name: &str) -> bool {
    let modes = folders.iter().filter_map(|folder| root.status(&format!("{folder}/{name}")));
    modes.into_iter().any(|status| status.mode & 0o111 != 0)
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

const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// The vendor GUIDs of the variables of UEFI and of systemd's Boot Loader Interface.
const UEFI: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const LOADER_INTERFACE: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// In efivarfs, the variable's attributes precede its value.
const ATTRIBUTES: usize = 4;
/// How much of a variable is read at most.
const LONGEST: usize = 16 << 10;

/// Type and subtype of a file path node in a device path, and the type of the end node (UEFI specification, 10.3).
const FILE_PATH: [u8; 2] = [4, 4];
const END: u8 = 0x7f;

fn booted(root: &Root) -> Booted {
    let text = |name: &str| variable(root, name, LOADER_INTERFACE).map(|value| utf16(&value)).filter(|text| !text.is_empty());
    let number = variable(root, "BootCurrent", UEFI).and_then(|value| Some(u16::from_le_bytes([*value.first()?, *value.get(1)?])));
    Booted {
        efi: root.exists("/sys/firmware/efi"),
        loader: text("LoaderInfo"),
        stub: text("StubInfo"),
        program: number.and_then(|number| program(&variable(root, &format!("Boot{number:04X}"), UEFI)?)),
        secure_boot: variable(root, "SecureBoot", UEFI).and_then(|value| value.first().map(|byte| *byte == 1)),
    }
}

fn variable(root: &Root, name: &str, vendor: &str) -> Option<Vec<u8>> {
    let bytes = root.first_bytes(&format!("{VARIABLES}/{name}-{vendor}"), LONGEST).ok()?;
    bytes.get(ATTRIBUTES..).map(<[u8]>::to_vec)
}

/// The file that a boot option starts: `EFI_LOAD_OPTION` of the UEFI specification, 3.1.3.
fn program(option: &[u8]) -> Option<String> {
    // Attributes, the length of the device path, a description, the device path.
    let description = option.get(6..)?;
    let length = description.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let mut path = description.get(2 * length + 2..)?;
    let mut file = String::new();
    while let [kind, subkind, low, high, ..] = *path {
        let length = usize::from(u16::from_le_bytes([low, high]));
        if kind == END || length < 4 {
            break;
        }
        let Some(value) = path.get(4..length) else { break };
        if [kind, subkind] == FILE_PATH {
            file.push_str(&utf16(value));
        }
        path = path.get(length..)?;
    }
    (!file.is_empty()).then_some(file)
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

const MODULES: &str = "/lib/modules";

/// Words in the names of relevant built-in modules: vfio, and drivers of devices that are passed through.
const MATTERS: [&str; 10] = ["vfio", "iommu", "drm", "xhci", "snd-hda", "nvme", "ahci", "fb", "i2c", "kvm"];

fn kernels(root: &Root, host: &Host) -> Vec<Kernel> {
    let mut releases = root.names(MODULES);
    // Without any list, only the running kernel is known.
    if releases.is_empty() {
        releases.extend(host.platform.kernel.clone());
    }
    let kernel = |release: String| {
        let list = root.excerpt(&format!("{MODULES}/{release}/modules.builtin"), |text| {
            text.split_inclusive('\n').filter(|line| MATTERS.iter().any(|word| line.contains(word))).collect()
        });
        let name = |line: &str| Some(line.rsplit('/').next()?.split(".ko").next()?.replace('-', "_"));
        let builtin = list.unwrap_or_default().lines().filter_map(name).collect();
        // A directory that a removed kernel left behind has no list of modules.
        let package = root.attribute(&format!("{MODULES}/{release}/pkgbase"));
        Kernel { release, builtin, package }
    };
    releases.into_iter().map(kernel).collect()
}

/// Whether a kernel has vfio-pci; `None` if unknown.
fn vfio(root: &Root, host: &Host, kernel: &Kernel) -> Option<ModuleState> {
    let release = kernel.release.as_str();
    if kernel.builtin.contains("vfio_pci") {
        return Some(ModuleState::BuiltIn);
    }
    // A driver that is bound to a device exists.
    let works = host.platform.kernel.as_deref() == Some(release) && host.pci.iter().any(PciDevice::on_vfio);
    let is_it = |name: &str| name.starts_with("vfio-pci.ko");
    let directory = format!("/lib/modules/{release}/kernel/drivers/vfio/pci");
    let lies_there = root.names(&directory).into_iter().any(|name| is_it(&name) && root.exists(&format!("{directory}/{name}")));
    // modprobe's own list, which has the module in whatever folder.
    let list = root.excerpt(&format!("/lib/modules/{release}/modules.dep"), |text| {
        let has = |line: &&str| is_it(line.split(':').next().unwrap_or_default().rsplit('/').next().unwrap_or_default());
        text.split_inclusive('\n').filter(has).collect()
    });
    if lies_there || list.as_ref().is_some_and(|lines| !lines.is_empty()) {
        return Some(ModuleState::Loadable);
    }
    if works {
        return Some(ModuleState::InUse);
    }
    // Without its list of modules or of built-in modules, nothing is known about a kernel.
    (list.is_some() && !kernel.builtin.is_empty()).then_some(ModuleState::Missing)
}

/// Why lists of built-in modules cannot be read.
fn unread_kernels(root: &Root, kernels: &[Kernel]) -> Vec<String> {
    let unknown = kernels.iter().filter(|kernel| kernel.builtin.is_empty());
    unknown
        .filter_map(|kernel| root.reading(&format!("{MODULES}/{}/modules.builtin", kernel.release)).unknown().map(str::to_owned))
        .collect()
}

/// The modules that match each function, according to modules.alias of the running kernel, else of the newest one.
fn claimants(root: &Root, host: &Host, kernels: &[Kernel]) -> BTreeMap<PciAddress, Vec<String>> {
    let running = host.platform.kernel.as_deref();
    let release = kernels.iter().find(|kernel| Some(kernel.release.as_str()) == running).or(kernels.last());
    let Some(release) = release.map(|kernel| &kernel.release) else { return BTreeMap::new() };
    let names: Vec<(PciAddress, String)> = host.pci.iter().map(|device| (device.address, device.modalias())).collect();
    let matching = |line: &str| {
        let (pattern, _) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
        (pattern.starts_with("pci:") && names.iter().any(|(_, name)| matches(pattern, name))).then_some(())
    };
    let table = root
        .excerpt(&format!("{MODULES}/{release}/modules.alias"), |text| {
            text.split_inclusive('\n').filter(|line| matching(line.trim_end()).is_some()).collect()
        })
        .unwrap_or_default();
    let claims = |name: &str| {
        let mut modules: Vec<String> = table
            .lines()
            .filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' '))
            .filter(|(pattern, _)| matches(pattern, name))
            .map(|(_, module)| module.to_owned())
            .collect();
        modules.sort_unstable();
        modules.dedup();
        modules
    };
    names.iter().map(|(address, name)| (*address, claims(name))).filter(|(_, modules)| !modules.is_empty()).collect()
}

/// Whether a name matches a shell pattern in which only `*` is special.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    match last {
        // The last part must match the end of the name; it is empty if the pattern ends with `*`.
        Some(part) => part.is_empty() || name.ends_with(part),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, PciDevice, PciId};

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn the_file_of_a_boot_option() {
        let file = wide(r"\EFI\debian\shimx64.efi");
        let length = u16::try_from(file.len() + 4).unwrap().to_le_bytes();
        let disk = [[4, 1, 42, 0].as_slice(), &[0; 38]].concat();
        let option = [[1, 0, 0, 0, 0, 0].as_slice(), &wide("debian"), &disk, &[4, 4], &length, &file, &[0x7f, 0xff, 4, 0]].concat();
        assert_eq!(program(&option).unwrap(), r"\EFI\debian\shimx64.efi");
        for cut in 0..option.len() {
            let _ = program(&option[..cut]);
        }
    }

    #[test]
    fn who_claims_a_card() {
        let mut card = PciDevice::new("01:00.0".parse().unwrap());
        card.id = PciId { vendor: 0x10de, device: 0x1401 };
        card.class = Class(0x03_00_00);
        let name = card.modalias();
        assert_eq!(name, "pci:v000010DEd00001401sv00000000sd00000000bc03sc00i00");
        for pattern in ["pci:v000010DEd*sv*sd*bc03sc*i*", "pci:v000010DEd00001401sv*sd*bc*sc*i*", "pci:v*d*sv*sd*bc03sc00i00*"] {
            assert!(matches(pattern, &name), "{pattern}");
        }
        for pattern in ["pci:v000010DEd*sv*sd*bc04sc*i*", "pci:v00001002d*sv*sd*bc03sc*i*", "pci:v000010DE", ""] {
            assert!(!matches(pattern, &name), "{pattern}");
        }
    }
}
