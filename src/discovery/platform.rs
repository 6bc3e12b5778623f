//! The platform: IOMMU tables, kernel, distribution, boot loader, initramfs tool.

use super::scope::Scope;
use crate::model::{BootLoader, Cmdline, Distribution, HOOK, Host, InitramfsTool, Iommu, Platform};
use crate::root::Root;

const IOMMUS: &str = "/sys/class/iommu";
const TABLES: &str = "/sys/firmware/acpi/tables";

/// The firmware's tables that describe an IOMMU: Intel, AMD, virtio.
const IOMMU_TABLES: [&str; 3] = ["DMAR", "IVRS", "VIOT"];

/// Files that only one boot loader has.
const BOOT_LOADERS: [(BootLoader, &[&str]); 5] = [
    (BootLoader::Grub, &["/etc/default/grub", "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"]),
    (BootLoader::SystemdBoot, &["/boot/loader/loader.conf", "/efi/loader/loader.conf", "/boot/efi/loader/loader.conf"]),
    (BootLoader::Limine, &["/boot/limine.conf", "/boot/limine/limine.conf", "/boot/limine.cfg", "/boot/EFI/limine/limine.conf"]),
    (BootLoader::Kernelstub, &["/etc/kernelstub/configuration"]),
    (BootLoader::Ostree, &["/run/ostree-booted", "/ostree/repo"]),
];

/// Files that only one initramfs tool has.
const INITRAMFS_TOOLS: [(InitramfsTool, &[&str]); 4] = [
    (InitramfsTool::InitramfsTools, &["/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/modules"]),
    (InitramfsTool::Dracut, &["/etc/dracut.conf", "/etc/dracut.conf.d"]),
    (InitramfsTool::Mkinitcpio, &["/etc/mkinitcpio.conf"]),
    (InitramfsTool::Booster, &["/etc/booster.yaml"]),
];

pub(super) fn read(root: &Root, scope: Scope, host: &Host) -> Platform {
    let mut platform = Platform::default();
    let groups = host.has_groups();
    if !groups || scope == Scope::All {
        platform.iommu_tables =
            IOMMU_TABLES.iter().filter(|table| root.exists(&format!("{TABLES}/{table}"))).map(|table| (*table).to_owned()).collect();
        platform.cmdline = root.attribute("/proc/cmdline").map(Cmdline);
    }
    platform.iommu = if groups {
        Iommu::On
    } else if !platform.iommu_tables.is_empty() {
        Iommu::Off
    } else if host.cpu.is_guest() {
        Iommu::Guest
    } else if root.exists(TABLES) {
        Iommu::FirmwareOff
    } else {
        Iommu::Unknown
    };
    platform.kernel = root.attribute("/proc/sys/kernel/osrelease");
    platform.has_hook = root.exists(HOOK);
    platform.board = root.attribute("/sys/class/dmi/id/board_name");
    if scope == Scope::All {
        platform.iommu_bits = iommu_bits(root);
        platform.distribution = distribution(root);
        platform.boot_loaders = present(root, &BOOT_LOADERS);
        platform.initramfs_tools = present(root, &INITRAMFS_TOOLS);
    }
    platform
}

/// The address width of the narrowest Intel IOMMU unit: MGAW, bits 16 to 21 of the capability register, plus one
/// (Intel VT-d specification, 11.4.2).
fn iommu_bits(root: &Root) -> Option<u32> {
    let capability = |unit: &String| {
        let text = root.attribute(&format!("{IOMMUS}/{unit}/intel-iommu/cap"))?;
        u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    };
    let bits = |register: u64| u32::try_from(register >> 16 & 0x3f).ok().map(|width| width + 1);
    root.names(IOMMUS).iter().filter_map(|unit| bits(capability(unit)?)).min()
}

fn distribution(root: &Root) -> Distribution {
    let text = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release")).unwrap_or_default();
    let value = |key: &str| {
        let raw = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let plain = raw.trim().trim_matches(['"', '\'']);
        (!plain.is_empty()).then(|| plain.to_owned())
    };
    Distribution {
        id: value("ID"),
        like: value("ID_LIKE").unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect(),
        version: value("VERSION_ID"),
        name: value("PRETTY_NAME").or_else(|| value("NAME")),
    }
}

fn present<T: Copy>(root: &Root, marks: &[(T, &[&str])]) -> Vec<T> {
    marks.iter().filter(|(_, paths)| paths.iter().any(|path| root.exists(path))).map(|(what, _)| *what).collect()
}
