//! The configuration files for booting and for loading modules.

use std::collections::BTreeSet;
use std::io;

use super::uses;
use crate::model::{
    ConfigFile, ConfigFiles, MODPROBE_FOLDERS, NoText, ONLY_CONF, OSTREE_BOOTED, Reading, SYSCTL_FOLDERS, TUNED_FOLDERS, TUNED_PROFILE,
};
use crate::root::Root;

/// The longest configuration file that is read, ten times the largest known one (a `grub.cfg` with many kernels).
const LONGEST: usize = 1 << 20;

/// The longest script that is read, and the number of scripts.
const LONGEST_SCRIPT: u64 = 64 << 10;
const MOST_PROGRAMS: usize = 64;
/// The vendor folders on the EFI system partition, at the usual mount points.
const EFI_FOLDERS: [&str; 3] = ["/boot/efi/EFI", "/efi/EFI", "/boot/EFI"];
/// Services of the administrator.
const UNITS: &str = "/etc/systemd/system";
/// initramfs-tools scripts of packages.
const STAGES: &str = "/usr/share/initramfs-tools/scripts";

const MOUNTS: &str = "/proc/mounts";
const SECURE_BOOT: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Files to read if they exist.
const FILES: &[&str] = &[
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
    "/etc/abroot/abroot.json",
    "/etc/apparmor.d/abstractions/libvirt-qemu",
    "/etc/apparmor.d/local/abstractions/libvirt-qemu",
    "/etc/booster.yaml",
    "/etc/crypttab",
    "/etc/default/grub",
    "/etc/default/limine",
    "/etc/NIXOS",
    "/etc/grub2-efi.cfg",
    "/etc/grub2.cfg",
    "/etc/rc.local",
    "/etc/supergfxd.conf",
    "/etc/unraid-version",
    "/etc/update-extlinux.conf",
    "/etc/dracut.conf",
    "/etc/fstab",
    "/etc/group",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/modules",
    "/etc/initramfs-tools/update-initramfs.conf",
    "/etc/initramfs/post-update.d/zz-vgapt",
    "/etc/kernel/cmdline",
    "/etc/kernel/install.conf",
    "/etc/kernel/install.d/zz-vgapt.install",
    "/etc/kernel/next-boot-pin",
    "/etc/kernel/postinst.d/zz-vgapt",
    "/etc/kernel/proxmox-boot-pin",
    "/etc/kernel/uki.conf",
    "/etc/kernel.d/post-install/zz-vgapt",
    "/etc/kernelstub/configuration",
    "/etc/libvirt/qemu.conf",
    "/etc/mkinitcpio.conf",
    "/etc/modules",
    "/etc/pacman.d/hooks/zz-vgapt.hook",
    "/etc/passwd",
    "/etc/samba/smb.conf",
    "/etc/samba/vgapt.conf",
    "/etc/sdboot-manage.conf",
    "/etc/security/limits.conf",
    "/etc/sysfs.conf",
    "/etc/tuned/active_profile",
    "/etc/systemd/system/libvirtd.service.d/vgapt-virtual-functions.conf",
    "/etc/systemd/system/multi-user.target.wants/smb.service",
    "/etc/systemd/system/multi-user.target.wants/smbd.service",
    "/etc/systemd/system/virtqemud.service.d/vgapt-virtual-functions.conf",
    "/etc/libvirt/hooks/qemu.d/vgapt",
    "/etc/vgapt/after-update",
    "/etc/vgapt/at-start",
    "/etc/vgapt/bind",
    "/proc/iomem",
    "/proc/modules",
    "/proc/mounts",
    "/proc/swaps",
    "/run/libvirtd.pid",
    OSTREE_BOOTED,
    "/run/virtqemud.pid",
    "/sys/fs/selinux/enforce",
    "/usr/lib/bootc/install/00-defaults.toml",
    "/usr/lib/kernel/cmdline",
    "/usr/lib/kernel/install.conf",
];

/// Directories whose files are read, and the ending of the file names.
const DIRECTORIES: &[(&str, &str)] = &[
    ("/boot/efi/loader/entries", ".conf"),
    ("/boot/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/etc/cmdline.d", ".conf"),
    ("/etc/default/grub.d", ".cfg"),
    ("/etc/dracut.conf.d", ".conf"),
    ("/etc/driverctl.d", ""),
    ("/etc/initramfs-tools/conf.d", ""),
    ("/etc/initramfs-tools/hooks", ""),
    ("/etc/initcpio/hooks", ""),
    ("/etc/initcpio/install", ""),
    ("/etc/initramfs-tools/scripts/init-bottom", ""),
    ("/etc/initramfs-tools/scripts/init-premount", ""),
    ("/etc/initramfs-tools/scripts/init-top", ""),
    ("/etc/initramfs-tools/scripts/local-bottom", ""),
    ("/etc/initramfs-tools/scripts/local-premount", ""),
    ("/etc/initramfs-tools/scripts/local-top", ""),
    ("/etc/kernel/cmdline.d", ".conf"),
    ("/etc/kernel/install.conf.d", ".conf"),
    ("/etc/mkinitcpio.conf.d", ".conf"),
    ("/etc/mkinitcpio.d", ".preset"),
    ("/etc/modules-load.d", ".conf"),
    ("/etc/qemu/firmware", ".json"),
    ("/etc/sdboot-manage.conf.d", ".conf"),
    ("/etc/security/limits.d", ".conf"),
    ("/etc/sysfs.d", ".conf"),
    ("/etc/systemd/system", ".mount"),
    ("/etc/tmpfiles.d", ".conf"),
    ("/run/udev/rules.d", ".rules"),
    ("/usr/lib/bootc/kargs.d", ".toml"),
    ("/usr/lib/dracut/dracut.conf.d", ".conf"),
    ("/usr/lib/kernel/install.conf.d", ".conf"),
    ("/usr/lib/modules-load.d", ".conf"),
    ("/usr/local/lib/udev/rules.d", ".rules"),
    ("/usr/share/qemu/firmware", ".json"),
    ("/etc/udev/rules.d", ".rules"),
];

/// These directories, and those of modprobe and sysctl.
fn directories() -> impl Iterator<Item = (&'static str, &'static str)> {
    DIRECTORIES.iter().copied().chain(MODPROBE_FOLDERS.into_iter().chain(SYSCTL_FOLDERS).map(|folder| (folder, ".conf")))
}

/// The files, and which of them are out of reach.
pub fn read(root: &Root) -> (ConfigFiles, Vec<String>) {
    let mut files = ConfigFiles::default();
    for path in FILES {
        root.look(path, LONGEST);
    }
    // Most of these files are on other distributions only.
    let there: Vec<&str> = FILES.iter().copied().filter(|path| root.is_named(path) != Some(false)).collect();
    let mut add = |path: String| {
        if let Some(file) = file(root, &path) {
            files.0.insert(path, file);
        }
    };
    for path in &there {
        add((*path).to_owned());
    }
    for (directory, ending) in directories() {
        for name in root.names(directory).iter().filter(|name| name.ends_with(ending) && !name.starts_with('.')) {
            add(format!("{directory}/{name}"));
        }
    }
    // What has no ending, the tools do not read; somebody may have meant it for them.
    for folder in ONLY_CONF {
        for name in root.names(folder).iter().filter(|name| !name.contains('.')) {
            add(format!("{folder}/{name}"));
        }
    }
    for path in loader_files(root).into_iter().chain(early_scripts(root)).chain(enabled_units(root)).chain(profiles(root)) {
        add(path);
    }
    let programs: Vec<String> = files.0.iter().filter(|(path, _)| runs_programs(path)).flat_map(|(_, file)| programs(file)).collect();
    for path in programs.into_iter().take(MOST_PROGRAMS).filter(|path| begins_as_script(root, path)) {
        if let Some(file) = file(root, &path) {
            files.0.insert(path, file);
        }
    }
    let closed = there.iter().filter(|path| !root.is_capture() && !files.exists(path) && root.presence(path).is_none());
    let closed = closed.map(|path| format!("cannot read {path}: a parent folder is not accessible")).collect();
    (files, closed)
}

/// The GRUB configurations on the EFI system partition.
fn loader_files(root: &Root) -> Vec<String> {
    let of = |folder| root.names(folder).into_iter().map(move |vendor| format!("{folder}/{vendor}/grub.cfg"));
    EFI_FOLDERS.into_iter().flat_map(of).collect()
}

/// `TuneD`'s profiles of the administrator.
fn profiles(root: &Root) -> Vec<String> {
    let of = |folder: &'static str| root.names(folder).into_iter().map(move |name| format!("{folder}/{name}/{TUNED_PROFILE}"));
    TUNED_FOLDERS.into_iter().flat_map(of).collect()
}

/// Scripts of initramfs tools whose names contain vfio or passthrough.
fn early_scripts(root: &Root) -> Vec<String> {
    let vfio = |directory: &str| {
        let names = root.names(directory).into_iter().filter(|name| name.contains("vfio") || name.contains("passthrough"));
        names.map(|name| format!("{directory}/{name}")).collect::<Vec<_>>()
    };
    let dracut = vfio("/usr/lib/dracut/modules.d")
        .into_iter()
        .flat_map(|module| root.names(&module).into_iter().map(|name| format!("{module}/{name}")).collect::<Vec<_>>());
    // Ubuntu's prime-select writes rules there that remove the card from the bus.
    let nvidia = root.names("/usr/lib/udev/rules.d").into_iter().filter(|name| name.contains("nvidia"));
    let nvidia = nvidia.map(|name| format!("/usr/lib/udev/rules.d/{name}"));
    let others = ["/usr/lib/udev/rules.d", "/usr/lib/initcpio/hooks", "/usr/lib/initcpio/install", "/usr/share/initramfs-tools/hooks"];
    let stages = root.names(STAGES).into_iter().map(|stage| format!("{STAGES}/{stage}")).collect::<Vec<_>>();
    let stages = stages.iter().flat_map(|stage| vfio(stage)).collect::<Vec<_>>();
    dracut.chain(nvidia).chain(others.into_iter().flat_map(vfio)).chain(stages).collect()
}

/// The enabled services of the administrator, and those of packages whose names are related to vfio.
fn enabled_units(root: &Root) -> Vec<String> {
    let wants = root.names(UNITS).into_iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires"));
    let units = wants.flat_map(|wants| {
        let directory = format!("{UNITS}/{wants}");
        root.names(&directory)
            .into_iter()
            .filter(|name| name.ends_with(".service"))
            .map(move |name| format!("{directory}/{name}"))
            .collect::<Vec<_>>()
    });
    let own = |place: &str| {
        let binds = ["vfio", "passthrough", "pci-stub"].iter().any(|word| place.contains(word));
        place.starts_with("/etc/") || place.starts_with("/usr/local/") || binds
    };
    units.filter(|path| root.real_path(path).is_some_and(|place| own(&place))).collect()
}

/// Whether the lines of a file can name programs that are run when devices or modules appear.
fn runs_programs(path: &str) -> bool {
    path.contains("/modprobe.d/") || path.contains("/udev/rules.d/") || path.starts_with(UNITS) || path == "/etc/rc.local"
}

/// The absolute paths in the lines of a file that run something.
fn programs(file: &ConfigFile) -> Vec<String> {
    const RUNS: [&str; 5] = ["install", "RUN", "PROGRAM", "Exec", "/"];
    let text = file.text_lossy().unwrap_or_default();
    let lines = text.lines().filter(|line| RUNS.iter().any(|word| line.trim_start().starts_with(word) || line.contains("RUN")));
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=;&|(){}".contains(c)));
    words.filter(|word| word.starts_with('/') && !word.starts_with("/sys/") && !word.starts_with("/dev/")).map(str::to_owned).collect()
}

/// The programs that install lines of modprobe's configuration run by their paths, and that do not exist.
pub(super) fn missing_programs(root: &Root, files: &ConfigFiles) -> BTreeSet<String> {
    let of_modprobe = files.0.iter().filter(|(path, _)| path.contains("/modprobe.d/"));
    let lines = of_modprobe.flat_map(|(_, file)| file.text_lossy().unwrap_or_default().lines());
    let run = lines.filter_map(|line| line.split_whitespace().nth(2).filter(|_| line.trim_start().starts_with("install ")));
    run.filter(|program| program.starts_with('/') && root.presence(program) == Some(false)).map(str::to_owned).collect()
}

/// Whether a program is a script, so that its text can be analysed.
pub(super) fn is_script(root: &Root, path: &str) -> bool {
    let is_short = root.status(path).is_some_and(|status| !status.is_dir && status.size <= LONGEST_SCRIPT);
    is_short && begins_as_script(root, path)
}

fn begins_as_script(root: &Root, path: &str) -> bool {
    root.first_bytes(path, 2).is_ok_and(|bytes| bytes == b"#!")
}

/// Why files could not be read that are needed for a decision and may exist.
pub(super) fn unread(root: &Root, files: &ConfigFiles) -> Vec<String> {
    let mut unread: Vec<String> = Vec::new();
    let folders = directories().map(|(directory, _)| directory).chain(EFI_FOLDERS).chain(["/etc/libvirt/qemu"]);
    unread.extend(folders.filter_map(|directory| root.entries(directory).unknown().map(str::to_owned)));
    // The kernel command line, the use of devices, and whether kernel images must be signed.
    let texts = ["/proc/cmdline"].into_iter().chain(uses::TABLES).chain([SECURE_BOOT]);
    unread.extend(texts.filter_map(|path| root.reading(path).unknown().map(str::to_owned)));
    unread.extend([uses::BLOCK, "/sys/bus/pci/devices"].iter().filter_map(|path| root.entries(path).unknown().map(str::to_owned)));
    if root.is_live() && !root.exists(MOUNTS) {
        unread.push(format!("cannot read {MOUNTS}: it does not exist"));
    }
    // It tells which distribution this is, and thus how its configuration is generated.
    let releases = ["/etc/os-release", "/usr/lib/os-release"].map(|path| root.reading(path));
    if !releases.iter().any(|release| matches!(release, Reading::Known(_))) {
        unread.extend(releases.iter().find_map(|release| release.unknown().map(str::to_owned)));
    }
    let known = files.0.iter().filter_map(|(path, file)| Some((path, file.text.as_ref().err()?)));
    // A boot loader entry that is not valid UTF-8 still boots, so it counts as unread. In other files, the relevant words
    // are found despite invalid bytes.
    let boots = |path: &str| {
        const FOLDERS: [&str; 5] = ["/boot/", "/efi/", "/etc/kernel/", "/usr/lib/kernel/", "/etc/cmdline.d/"];
        FOLDERS.iter().any(|folder| path.starts_with(folder))
    };
    let is_unread = |(path, what): &(&String, &NoText)| match what {
        NoText::Directory | NoText::DanglingLink(_) => false,
        NoText::TooLong(_) | NoText::Unread { .. } => true,
        NoText::NotUtf8 { .. } => boots(path),
    };
    unread.extend(known.filter(is_unread).map(|(path, what)| format!("{path} {what}")));
    unread
}

fn file(root: &Root, path: &str) -> Option<ConfigFile> {
    root.look(path, LONGEST);
    let place = || root.real_path(path).unwrap_or_else(|| path.to_owned());
    let Some(status) = root.status(path) else {
        let target = root.link(path)?;
        return Some(ConfigFile { place: place(), mode: 0, text: Err(NoText::DanglingLink(target)) });
    };
    let text = if status.is_dir {
        Err(NoText::Directory)
    } else if status.size > LONGEST as u64 {
        Err(NoText::TooLong(LONGEST >> 10))
    } else {
        match root.first_bytes(path, LONGEST) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|error| NoText::NotUtf8 {
                at: error.utf8_error().valid_up_to(),
                lossy: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
            Err(error) => Err(NoText::Unread { closed: error.kind() == io::ErrorKind::PermissionDenied, error: error.to_string() }),
        }
    };
    Some(ConfigFile { place: place(), mode: status.mode, text })
}
