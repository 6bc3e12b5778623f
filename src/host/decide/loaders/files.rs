//! The files in which kernel parameters are written: which loader reads them, and how they hold them.

use super::{bls, grub, grub_cfg, kernelstub, limine, sdboot_manage, systemd_boot, unified};
use crate::host::text::merge::FileSyntax;
use crate::model::{BootLoader, Setup};

/// Files from which command lines are generated.
pub(in crate::host::decide) const MADE_FROM: [&str; 6] =
    [grub::DEFAULTS, limine::DEFAULTS, bls::NEW_KERNELS, kernelstub::CONFIGURATION, sdboot_manage::CONFIGURATION, bls::SHIPPED];
/// Directories of such files, and of the boot entries themselves, with the ending of the names.
pub(in crate::host::decide) const FOLDERS: [(&str, &str); 8] = [
    (grub::MORE_DEFAULTS, ".cfg"),
    (sdboot_manage::MORE, ".conf"),
    (unified::PARTS, ".conf"),
    ("/etc/kernel/cmdline.d", ".conf"),
    (bls::ENTRIES, ".conf"),
    ("/boot/efi/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/usr/lib/bootc/kargs.d", ".toml"),
];
/// Files that a boot loader reads.
pub(in crate::host::decide) const BOOTED: [&str; 8] = [
    limine::PLACES[0],
    limine::PLACES[1],
    limine::PLACES[2],
    limine::PLACES[3],
    grub_cfg::CONFIGURATIONS[1],
    grub_cfg::CONFIGURATIONS[0],
    "/boot/grub/custom.cfg",
    "/boot/grub2/custom.cfg",
];

/// The syntax of the lists to which vgapt adds words in this file.
pub(in crate::host) fn syntax_of(path: &str) -> FileSyntax {
    let is_in = |(folder, ending): &(&str, &str)| path.starts_with(&format!("{folder}/")) && path.ends_with(ending);
    match path {
        bls::NEW_KERNELS | bls::SHIPPED => FileSyntax::Parameters,
        kernelstub::CONFIGURATION => FileSyntax::Strings,
        _ if ["/etc/kernel/cmdline.d/", "/etc/cmdline.d/"].iter().any(|folder| path.starts_with(folder)) => FileSyntax::Parameters,
        _ if MADE_FROM.contains(&path) || BOOTED.contains(&path) || FOLDERS.iter().any(is_in) => FileSyntax::Assignments,
        _ => FileSyntax::Other,
    }
}

/// Whether what a file says of kernel parameters counts where this kind of loader boots the host.
pub(in crate::host::decide) fn reads(kind: BootLoader, setup: &Setup, path: &str) -> bool {
    match path {
        bls::NEW_KERNELS | bls::SHIPPED => true,
        kernelstub::CONFIGURATION => kind == BootLoader::Kernelstub,
        limine::DEFAULTS => kind == BootLoader::Limine,
        _ if path.starts_with(sdboot_manage::CONFIGURATION) => kind == BootLoader::SystemdBoot && sdboot_manage::configured(setup),
        _ if limine::PLACES.contains(&path) => kind == BootLoader::Limine,
        _ if path.starts_with(unified::PARTS) => kind == BootLoader::UnifiedKernelImage,
        _ if path.starts_with(grub::DEFAULTS) || path.ends_with("/grub.cfg") || path.ends_with("/custom.cfg") => kind == BootLoader::Grub,
        _ if path.contains("/loader/entries/") => match kind {
            BootLoader::Grub => grub::reads_entries(setup) || systemd_boot::owns_entries(setup),
            BootLoader::Limine => false,
            _ => true,
        },
        _ => true,
    }
}
