//! How a host is set up: the files by which it boots and loads modules, and what it uses its devices for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{PciAddress, Reading, Size, VirtualNetwork, at_least};

/// Where kmod looks: the first folder that has a file of a name masks the others (`default_config_paths` of libkmod.c).
pub const MODPROBE_FOLDERS: [&str; 5] =
    ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

/// How a host is set up. What could not be read is empty; where something rests on it, it is in `unread`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// The configuration files that matter for booting and loading modules.
    pub files: ConfigFiles,
    /// What of it could not be read, and may be there all the same: why.
    pub unread: Vec<String>,
    /// What is known of the present boot.
    pub booted: Booted,
    /// The installed kernels, by release.
    pub kernels: Vec<Kernel>,
    /// The programs that were found, of those that preparing a host may need.
    pub programs: BTreeSet<String>,
    /// For each PCI function the modules that claim its kind, from the kernel's own table.
    pub claimants: BTreeMap<PciAddress, Vec<String>>,
    /// What the host uses its devices for.
    pub uses: Uses,
    /// Room left in the file systems that are written to: path, and what is free.
    pub room: Vec<(String, Size)>,
    /// The boot images and how large they are.
    pub images: Vec<(String, Size)>,
    /// How many UEFI firmwares for guests there are.
    pub firmwares: usize,
    /// The networks of libvirt's on which the host has an address.
    pub networks: Vec<VirtualNetwork>,
    /// The vgapt that libvirt's hook would run.
    pub hook_program: Option<String>,
    /// The PCI functions that libvirt's defined domains are given.
    pub in_domains: DomainFunctions,
}

/// The PCI functions that libvirt's defined domains are given, as far as these can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainFunctions(pub Reading<BTreeSet<PciAddress>>);

impl Default for DomainFunctions {
    fn default() -> Self {
        Self(Reading::Unknown("libvirt's domains were not looked at".to_owned()))
    }
}

impl DomainFunctions {
    /// Whether a domain that could be read is given this function.
    pub fn have(&self, function: PciAddress) -> bool {
        matches!(&self.0, Reading::Known(functions) if functions.contains(&function))
    }
}

impl Setup {
    /// Whether a program is installed.
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }

    /// Whether a module is part of each installed kernel, so that no configuration of modprobe counts
    /// for it. Directories that removed kernels left behind hold no list of modules, and do not count.
    pub fn is_built_in(&self, module: &str) -> bool {
        let name = module.replace('-', "_");
        let mut kernels = self.kernels.iter().filter(|kernel| !kernel.builtin.is_empty()).peekable();
        kernels.peek().is_some() && kernels.all(|kernel| kernel.builtin.contains(&name))
    }

    /// Whether `SELinux` refuses what is labelled wrong, and the labels can be put right.
    pub fn enforces_labels(&self) -> bool {
        self.files.text("/sys/fs/selinux/enforce").is_some_and(|text| text.trim() == "1") && self.has("restorecon")
    }

    /// What is free where this path lies.
    pub fn room_at(&self, path: &str) -> Option<Size> {
        self.room.iter().find(|(place, _)| place == path).map(|(_, size)| *size)
    }
}

/// Configuration files by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFiles(pub BTreeMap<String, ConfigFile>);

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it really lies: symbolic links followed.
    pub place: String,
    /// Permission bits.
    pub mode: u32,
    /// Its text; else why it cannot be taken as one.
    pub text: Result<String, NoText>,
}

/// Why what is at a path cannot be taken for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoText {
    /// It is a directory.
    Directory,
    /// It is a link to this, which is not there.
    LeadsNowhere(String),
    /// It is longer than so many KiB.
    TooLong(usize),
    /// It is no UTF-8.
    NotUtf8 {
        /// From this byte on.
        at: usize,
        /// It with a sign in place of each byte that is none.
        lossy: String,
    },
    /// It could not be read.
    Unread {
        /// Because of this.
        error: String,
        /// Whether it is closed to who reads.
        closed: bool,
    },
}

impl NoText {
    /// Whether nobody reads anything there: programs pass it over.
    pub fn is_no_file(&self) -> bool {
        matches!(self, Self::Directory | Self::LeadsNowhere(_))
    }
}

impl ConfigFile {
    /// Its text for whoever looks for words in it; a comment in Latin-1 hides none. What edits the file takes `text`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn legible(&self) -> Result<&str, &NoText> {
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
            Self::LeadsNowhere(target) => write!(f, "is a link to {target}, which is not there"),
            Self::TooLong(kib) => write!(f, "is longer than {kib} KiB, which is no configuration"),
            Self::NotUtf8 { at, .. } => write!(f, "holds what is no UTF-8 text, at byte {at}"),
            Self::Unread { error, .. } => write!(f, "cannot be read: {error}"),
        }
    }
}

impl ConfigFiles {
    /// The text of a file; `None` where it is missing or no text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.text.as_deref().ok()
    }

    /// The text of a file for whoever looks for words in it ([`ConfigFile::legible`]).
    pub fn legible(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.legible().ok()
    }

    /// Whether something is there, readable or not.
    pub fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The files of a directory whose name ends so, in order of their names.
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

    /// The texts of a directory's files whose name ends so.
    pub fn texts<'a>(&'a self, directory: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.below(directory, ending).filter_map(|(path, file)| Some((path, file.text.as_deref().ok()?)))
    }

    /// The same for whoever looks for words in them ([`ConfigFile::legible`]).
    pub fn legible_texts<'a>(&'a self, directory: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.below(directory, ending).filter_map(|(path, file)| Some((path, file.legible().ok()?)))
    }
}

/// What is known of the present boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Booted {
    /// Whether the firmware is UEFI.
    pub efi: bool,
    /// What the boot loader says of itself (`LoaderInfo`, systemd's Boot Loader Interface).
    pub loader: Option<String>,
    /// What the stub of a unified kernel image says of itself (`StubInfo`).
    pub stub: Option<String>,
    /// The program that the firmware started, such as `\EFI\debian\shimx64.efi`.
    pub program: Option<String>,
    /// Whether Secure Boot is on.
    pub secure_boot: Option<bool>,
}

/// An installed kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, as `uname -r` prints it.
    pub release: String,
    /// The modules that are part of it, of those that matter, with underscores.
    pub builtin: BTreeSet<String>,
}

impl Kernel {
    /// Whether it is at least this version.
    pub fn at_least(&self, major: u32, minor: u32) -> Option<bool> {
        at_least(&self.release, major, minor)
    }
}

/// What a host uses its devices for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// What was found.
    pub known: Vec<Use>,
    /// What could not be read, with the reason: nothing says that the host does not use a device.
    pub unknown: Vec<String>,
}

/// Something that the host uses a device for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The PCI functions on the way to it: its controller and the bridges above.
    pub path: Vec<PciAddress>,
    /// What it is used for.
    pub what: Purpose,
}

/// What a device is used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A disk or partition that is mounted, swapped to, or part of something that is.
    Disk {
        /// Its name, such as `nvme0n1p2`.
        name: String,
        /// Where: a mount point, [`Purpose::SWAP`], …
        place: String,
    },
    /// The network interface of the default route.
    DefaultRoute {
        /// Its name.
        interface: String,
    },
    /// A keyboard.
    Keyboard {
        /// What it calls itself.
        name: String,
        /// The USB port that it is plugged into, as sysfs names it.
        port: Option<String>,
    },
}

impl Purpose {
    /// In the place of a mount point: what is swapped to.
    pub const SWAP: &str = "swap";
}
