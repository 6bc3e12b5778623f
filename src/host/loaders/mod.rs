//! Boot loaders: which one booted this host, how kernel parameters are set, what it will boot next.
//!
//! A new boot loader is a new file here, a line in `ALL`, and the places of its command lines in the lists below it.

mod bls;
mod choose;
mod cmdline;
mod fallback;
mod grub;
mod grub_cfg;
#[cfg(test)]
mod grub_law;
mod grub_place;
mod grubenv;
mod kernelstub;
mod limine;
mod ostree;
mod systemd_boot;
mod unified;

pub(super) use bls::NEW_KERNELS;
pub use choose::{Chosen, PARAMETERS, chosen};
pub(super) use systemd_boot::{copied, copying, owns_entries};
pub(super) use unified::unsigned;

use super::plan::Edits;
use super::tokens::ParameterChange;
use super::words::Sort;
use crate::model::{BootLoader, Finding, Host, Setup};

/// How vgapt handles a boot loader.
pub struct Loader {
    /// Which one it is.
    pub kind: BootLoader,
    /// What people call it.
    pub name: &'static str,
    /// Whether its configuration exists.
    configured: fn(&Setup) -> bool,
    /// How kernel parameters are set.
    edit: fn(&Host, &Setup, &[ParameterChange]) -> Result<Edits, Finding>,
    /// What it will boot next.
    next: fn(&Setup) -> Vec<Entry>,
    /// The file and the text of an entry that boots as before; `off` disables the early binding.
    fallback: Fallback,
}

type Fallback = fn(&Setup, &[ParameterChange], off: Option<&str>) -> Option<(String, String)>;

/// Something that can be booted next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Where it stands.
    pub source: String,
    /// The kernel's command line.
    pub cmdline: String,
}

/// Words on the command line of a rescue boot.
const RESCUE: [&str; 6] = ["single", "recovery", "rescue", "emergency", "systemd.unit=rescue.target", "systemd.unit=emergency.target"];

/// Whether a command line is for a rescue boot.
pub(super) fn is_rescue<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    words.any(|word| RESCUE.contains(&word))
}

impl Entry {
    /// Whether it is a rescue or fallback entry, which has fewer parameters on purpose.
    pub fn is_recovery(&self) -> bool {
        is_rescue(self.cmdline.split_whitespace()) || self.source.contains("rescue") || self.source.contains(fallback::ENTRY)
    }
}

/// All supported boot loaders; if several are configured, the first one manages the files of the others.
static ALL: [&Loader; 6] =
    [&ostree::OSTREE, &kernelstub::KERNELSTUB, &unified::UNIFIED, &systemd_boot::SYSTEMD_BOOT, &limine::LIMINE, &grub::GRUB];

/// Files from which command lines are generated.
pub(super) const MADE_FROM: [&str; 5] = [grub::DEFAULTS, limine::DEFAULTS, bls::NEW_KERNELS, kernelstub::CONFIGURATION, bls::SHIPPED];
/// Directories of such files, and of the boot entries themselves, with the ending of the names.
pub(super) const FOLDERS: [(&str, &str); 7] = [
    (grub::MORE_DEFAULTS, ".cfg"),
    (unified::PARTS, ".conf"),
    ("/etc/kernel/cmdline.d", ".conf"),
    (grub::ENTRIES, ".conf"),
    ("/boot/efi/loader/entries", ".conf"),
    ("/efi/loader/entries", ".conf"),
    ("/usr/lib/bootc/kargs.d", ".toml"),
];
/// Files that a boot loader reads.
pub(super) const BOOTED: [&str; 8] = [
    limine::PLACES[0],
    limine::PLACES[1],
    limine::PLACES[2],
    limine::PLACES[3],
    grub_place::CONFIGURATIONS[1],
    grub_place::CONFIGURATIONS[0],
    "/boot/grub/custom.cfg",
    "/boot/grub2/custom.cfg",
];

/// How a file holds the lists of words into which vgapt puts some.
pub(super) fn sort_of(path: &str) -> Sort {
    let is_in = |(folder, ending): &(&str, &str)| path.starts_with(&format!("{folder}/")) && path.ends_with(ending);
    match path {
        bls::NEW_KERNELS | bls::SHIPPED => Sort::Parameters,
        kernelstub::CONFIGURATION => Sort::Strings,
        _ if ["/etc/kernel/cmdline.d/", "/etc/cmdline.d/"].iter().any(|folder| path.starts_with(folder)) => Sort::Parameters,
        _ if MADE_FROM.contains(&path) || BOOTED.contains(&path) || FOLDERS.iter().any(is_in) => Sort::Assignments,
        _ => Sort::Other,
    }
}

impl Loader {
    /// Whether what a file says of kernel parameters counts where this loader boots the host.
    pub(super) fn reads(&self, setup: &Setup, path: &str) -> bool {
        match path {
            bls::NEW_KERNELS | bls::SHIPPED => true,
            kernelstub::CONFIGURATION => self.kind == BootLoader::Kernelstub,
            limine::DEFAULTS => self.kind == BootLoader::Limine,
            _ if limine::PLACES.contains(&path) => self.kind == BootLoader::Limine,
            _ if path.starts_with(unified::PARTS) => self.kind == BootLoader::UnifiedKernelImage,
            _ if path.starts_with(grub::DEFAULTS) || path.ends_with("/grub.cfg") || path.ends_with("/custom.cfg") => {
                self.kind == BootLoader::Grub
            }
            _ if path.contains("/loader/entries/") => match self.kind {
                BootLoader::Grub => grub::reads_entries(setup) || owns_entries(setup),
                BootLoader::Limine => false,
                _ => true,
            },
            _ => true,
        }
    }

    /// What it will boot next, according to its files.
    pub fn next_boot(&self, setup: &Setup) -> Vec<Entry> {
        (self.next)(setup)
    }

    pub(super) fn fallback(&self, setup: &Setup, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
        (self.fallback)(setup, wants, off)
    }

    pub(super) fn edit(&self, host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
        (self.edit)(host, setup, wants)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The names of the initramfs images that are booted: those of the running kernel's command line, else of the loader's
/// entries; images of microcode left out.
pub(super) fn booted_images(host: &Host, setup: &Setup) -> Vec<String> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let line = host.platform.cmdline.clone().unwrap_or_default().0;
    let running =
        line.split_ascii_whitespace().filter_map(|token| token.strip_prefix("initrd=")).flat_map(|value| value.split(',')).map(name);
    let is_one = |name: &String| !name.is_empty() && !name.contains("ucode") && !name.contains("fallback");
    let running: Vec<String> = running.filter(is_one).collect();
    if !running.is_empty() || setup.booted.stub.is_some() {
        return running;
    }
    let Ok(chosen) = chosen(host, setup) else { return Vec::new() };
    let of_folder = |folder: String| setup.files.texts(&folder, ".conf").flat_map(|(_, text)| bls::initramfs(text)).collect::<Vec<_>>();
    let named: Vec<String> = match chosen.loader.kind {
        BootLoader::SystemdBoot | BootLoader::Kernelstub => {
            systemd_boot::PLACES.iter().flat_map(|place| of_folder(format!("{place}/entries"))).collect()
        }
        BootLoader::Grub => grub::images(setup),
        BootLoader::Limine => limine::images(setup),
        BootLoader::Ostree | BootLoader::UnifiedKernelImage => Vec::new(),
    };
    named.iter().map(|path| name(path)).filter(is_one).collect()
}

fn of_kind(kind: BootLoader) -> Option<&'static Loader> {
    ALL.into_iter().find(|loader| loader.kind == kind)
}
