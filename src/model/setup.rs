//! The setup of a host: its configuration for booting and loading modules, and what it uses its devices for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Firmware, ModuleState, PciAddress, Reading, Size, VirtualNetwork, at_least};

/// Folders in which only names that end in `.conf` count (modprobe.d(5), dracut.conf(5)). Names without an ending are looked at too: somebody may have meant them.
pub const ONLY_CONF: [&str; 2] = ["/etc/modprobe.d", "/etc/dracut.conf.d"];

/// kmod's configuration folders: a file masks files of the same name in later folders (`default_config_paths` of libkmod.c).
pub const MODPROBE_FOLDERS: [&str; 5] =
    ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

/// The setup of a host. What could not be read is empty; if a decision depends on it, it is listed in `unread`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// The configuration files that matter for booting and loading modules.
    pub files: ConfigFiles,
    /// Why something could not be read that may exist nevertheless.
    pub unread: Vec<String>,
    pub booted: Booted,
    pub kernels: Vec<Kernel>,
    /// How vfio-pci is available in each installed kernel, by release; without an entry, that is unknown.
    pub vfio: BTreeMap<String, ModuleState>,
    /// The installed programs, of those that `prepare` may need.
    pub programs: BTreeSet<String>,
    /// Whether the modes of files are those of the host: copies of its files, as trees are, can lose them.
    pub keeps_modes: bool,
    /// The modules that match each PCI function, according to the kernel's modules.alias.
    pub claimants: BTreeMap<PciAddress, Vec<String>>,
    pub uses: Uses,
    /// Free space of the file systems that are written to, by path.
    pub room: Vec<(String, Size)>,
    pub images: Vec<(String, Size)>,
    /// The installed firmwares for guests, the best first.
    pub firmwares: Vec<Firmware>,
    /// The libvirt networks on which the host has an address.
    pub networks: Vec<VirtualNetwork>,
    /// The vgapt program that libvirt's hook would run.
    pub hook_program: Option<String>,
    /// Whether rpm-ostree regenerates the initramfs on this host.
    pub local_initramfs: LocalInitramfs,
    pub staged: StagedState,
    /// Whether this host's bootc knows parameters by their owner (`bootc loader-entries`).
    pub has_sources: bool,
    pub in_domains: DomainFunctions,
    /// Lines of libvirt's other hooks that reserve pages or make virtual functions.
    pub of_hooks: Vec<WrittenLine>,
    /// Programs that lines of modprobe's configuration run, and that are not there.
    pub missing_programs: BTreeSet<String>,
    /// The real path of /bin/sh, where it is there.
    pub sh: Option<String>,
}

/// A line of a script or a configuration file that writes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLine {
    pub path: String,
    /// Its number.
    pub line: usize,
    pub text: String,
}

/// Exists where the running system is a deployment of ostree.
pub const OSTREE_BOOTED: &str = "/run/ostree-booted";

/// The key of an entry of ostree's, and of a deployment that waits, with the part of the command line that vgapt owns
/// (bootc-loader-entries-set-options-for-source(8)).
pub const OWN_OPTIONS: &str = "x-options-source-vgapt";

/// The deployment of ostree that becomes bootable at shutdown, as far as it says something of the kernel's command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StagedDeployment {
    /// The whole command line; `None`: that of the deployment that runs.
    pub cmdline: Option<String>,
    /// The part of it that vgapt owns.
    pub own: String,
}

/// Absent where no deployment waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedState(pub Reading<StagedDeployment>);

impl Default for StagedState {
    fn default() -> Self {
        Self(Reading::Absent)
    }
}

/// The PCI functions that defined domains pass through, with the names of these domains, as far as they can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainFunctions(pub Reading<BTreeMap<PciAddress, BTreeSet<String>>>);

impl Default for DomainFunctions {
    fn default() -> Self {
        Self(Reading::Unknown("libvirt's domains were not read".to_owned()))
    }
}

/// The arguments that dracut gets where rpm-ostree regenerates the initramfs on this host; absent where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalInitramfs(pub Reading<Vec<String>>);

impl Default for LocalInitramfs {
    fn default() -> Self {
        Self(Reading::Unknown("rpm-ostree's deployments were not read".to_owned()))
    }
}

impl DomainFunctions {
    /// Whether a domain that could be read passes this function through.
    pub fn have(&self, function: PciAddress) -> bool {
        matches!(&self.0, Reading::Known(functions) if functions.contains_key(&function))
    }
}

impl Setup {
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }

    /// Whether its system is a deployment of ostree, whose /usr is an image (ostree-prepare-root(1) makes the file).
    pub fn is_of_ostree(&self) -> bool {
        self.files.exists(OSTREE_BOOTED)
    }

    /// Whether a module is built into each installed kernel, so that modprobe's configuration has no effect
    /// on it. Directories that removed kernels left behind have no list of modules and are ignored.
    pub fn is_built_in(&self, module: &str) -> bool {
        let name = module.replace('-', "_");
        let mut kernels = self.kernels.iter().filter(|kernel| !kernel.builtin.is_empty()).peekable();
        kernels.peek().is_some() && kernels.all(|kernel| kernel.builtin.contains(&name))
    }

    /// Whether `SELinux` is enforcing and the labels can be corrected.
    pub fn enforces_labels(&self) -> bool {
        self.files.text("/sys/fs/selinux/enforce").is_some_and(|text| text.trim() == "1") && self.has("restorecon")
    }

    /// The free space of the file system of this path.
    pub fn room_at(&self, path: &str) -> Option<Size> {
        self.room.iter().find(|(place, _)| place == path).map(|(_, size)| *size)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFiles(pub BTreeMap<String, ConfigFile>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its real path, with symbolic links resolved.
    pub place: String,
    pub mode: u32,
    pub text: Result<String, NoText>,
}

/// Why a path cannot be read as a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoText {
    Directory,
    /// It is a symbolic link to a target that does not exist.
    DanglingLink(String),
    /// It is longer than this many KiB.
    TooLong(usize),
    NotUtf8 {
        /// The offset of the first invalid byte.
        at: usize,
        /// The text with U+FFFD in place of the invalid bytes.
        lossy: String,
    },
    Unread {
        error: String,
        /// Whether permission was denied.
        closed: bool,
    },
}

impl NoText {
    /// Whether it is not a file at all, so that programs skip it.
    pub fn is_no_file(&self) -> bool {
        matches!(self, Self::Directory | Self::DanglingLink(_))
    }
}

impl ConfigFile {
    /// Its text for searching, even if it has invalid UTF-8, such as a comment in Latin-1. Code that edits the file
    /// uses `text`.
    pub fn text_lossy(&self) -> Result<&str, &NoText> {
        match &self.text {
            Ok(text) | Err(NoText::NotUtf8 { lossy: text, .. }) => Ok(text),
            Err(what) => Err(what),
        }
    }
}

impl fmt::Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("is a directory"),
            Self::DanglingLink(target) => write!(f, "is a symbolic link to {target}, which does not exist"),
            Self::TooLong(kib) => write!(f, "is longer than {kib} KiB, too long for a configuration file"),
            Self::NotUtf8 { at, .. } => write!(f, "is not valid UTF-8 at byte {at}"),
            Self::Unread { error, .. } => write!(f, "cannot be read: {error}"),
        }
    }
}

impl ConfigFiles {
    /// The text of a file; `None` if it is missing or not text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.text.as_deref().ok()
    }

    /// The text of a file for searching ([`ConfigFile::text_lossy`]).
    pub fn text_lossy(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.text_lossy().ok()
    }

    /// Whether something exists there, readable or not.
    pub fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The files of a directory whose names have this ending, sorted by name.
    pub fn below<'a>(&'a self, directory: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a ConfigFile)> {
        self.0
            .range(format!("{directory}/")..)
            .map(|(path, file)| (path.as_str(), file))
            .take_while(move |(path, _)| path.starts_with(directory))
            .filter(move |(path, _)| {
                let name = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(|name| !name.contains('/') && name.ends_with(ending))
            })
    }

    pub fn texts<'a>(&'a self, directory: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.below(directory, ending).filter_map(|(path, file)| Some((path, file.text.as_deref().ok()?)))
    }

    /// The texts of these files for searching ([`ConfigFile::text_lossy`]).
    pub fn texts_lossy<'a>(&'a self, directory: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.below(directory, ending).filter_map(|(path, file)| Some((path, file.text_lossy().ok()?)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Booted {
    pub efi: bool,
    /// The name of the boot loader (`LoaderInfo` of systemd's Boot Loader Interface).
    pub loader: Option<String>,
    /// The name of the stub of a unified kernel image (`StubInfo`).
    pub stub: Option<String>,
    /// The program that the firmware started, such as `\EFI\debian\shimx64.efi`.
    pub program: Option<String>,
    pub secure_boot: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, as `uname -r` prints it.
    pub release: String,
    /// Its built-in modules that are relevant, with underscores.
    pub builtin: BTreeSet<String>,
    /// The name of its package, which its files in /boot have instead of the release (Arch).
    pub package: Option<String>,
}

impl Kernel {
    pub fn at_least(&self, major: u32, minor: u32) -> Option<bool> {
        at_least(&self.release, major, minor)
    }
}

/// What a host uses its devices for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    pub known: Vec<Use>,
    /// What could not be read, with the reason: the host may use devices that are not listed.
    pub unknown: Vec<String>,
    /// File systems in use whose disks were not found.
    pub without_disk: Vec<WithoutDisk>,
}

/// A file system in use whose disk was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutDisk {
    /// What it is, and why its disk is unknown.
    pub because: String,
    /// Whether its disk is an `NVMe` disk, where the kernel's name of it tells: any disk may be it otherwise.
    pub is_nvme: Option<bool>,
}

/// A use of a device by the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The PCI functions above it: its controller and the bridges.
    pub path: Vec<PciAddress>,
    pub what: UsedFor,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsedFor {
    /// A disk or partition that is mounted, used as swap, or part of a volume in use.
    Disk {
        /// Its name, such as `nvme0n1p2`.
        name: String,
        /// Where: a mount point, [`UsedFor::SWAP`], …
        place: String,
    },
    DefaultRoute {
        interface: String,
    },
    Keyboard {
        name: String,
        /// Its USB port, as named in sysfs.
        port: Option<String>,
    },
}

impl UsedFor {
    /// Stands for swap in the place of a mount point.
    pub const SWAP: &str = "swap";
}

#[cfg(test)]
impl Setup {
    /// A host with this one file.
    pub(crate) fn with_file(path: &str, text: &str) -> Self {
        let file = ConfigFile { place: path.into(), mode: 0o644, text: Ok(text.into()) };
        Self { files: ConfigFiles([(path.to_owned(), file)].into()), ..Self::default() }
    }
}
