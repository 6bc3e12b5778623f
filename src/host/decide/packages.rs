//! The packages with what a guest needs, for each family of distributions.

use crate::host::plan::{Command, Edits};
use crate::host::request::Wanted;
use crate::model::{Distribution, Finding, Host, Setup};

/// Software that is needed or useful, and its packages.
#[derive(Debug)]
pub struct SoftwarePackage {
    /// What it is.
    pub name: &'static str,
    /// The package on Debian and Ubuntu, Fedora and RHEL, Arch, openSUSE.
    packages: [&'static str; 4],
    /// The program by which it is detected.
    pub program: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// Whether no guest runs without it.
    pub required: bool,
}

/// What a guest needs, then what it may use.
pub static SOFTWARE: [SoftwarePackage; 8] = [
    SoftwarePackage {
        name: "libvirt",
        packages: ["libvirt-daemon-system", "libvirt-daemon-kvm", "libvirt", "libvirt-daemon-qemu"],
        program: "virsh",
        why: "it defines and runs the guests",
        required: true,
    },
    SoftwarePackage {
        name: "QEMU",
        packages: ["qemu-system-x86", "qemu-kvm", "qemu-desktop", "qemu-x86"],
        program: "qemu-system-x86_64",
        why: "it runs the virtual machine",
        required: true,
    },
    SoftwarePackage {
        name: "OVMF",
        packages: ["ovmf", "edk2-ovmf", "edk2-ovmf", "qemu-ovmf-x86_64"],
        program: "",
        why: "it is the UEFI firmware of guests",
        required: true,
    },
    SoftwarePackage {
        name: "the disk tools of QEMU",
        packages: ["qemu-utils", "qemu-img", "qemu-img", "qemu-img"],
        program: "qemu-img",
        why: "it creates the disks of guests",
        required: false,
    },
    SoftwarePackage {
        name: "a TPM for Windows 11 (swtpm)",
        packages: ["swtpm-tools", "swtpm-tools", "swtpm", "swtpm"],
        program: "swtpm",
        why: "Windows 11 requires a TPM",
        required: false,
    },
    SoftwarePackage {
        name: "libguestfs",
        packages: ["libguestfs-tools", "guestfs-tools", "guestfs-tools", "guestfs-tools"],
        program: "virt-sparsify",
        why: "it reads and compacts the disks of guests",
        required: false,
    },
    SoftwarePackage {
        name: "virtiofsd",
        packages: ["virtiofsd", "virtiofsd", "virtiofsd", "virtiofsd"],
        program: "virtiofsd",
        why: "with it the host shares folders with a guest by virtiofs",
        required: false,
    },
    SoftwarePackage {
        name: "Samba",
        packages: ["samba", "samba", "samba", "samba"],
        program: "smbd",
        why: "with it the host shares folders with Windows",
        required: false,
    },
];

impl SoftwarePackage {
    /// Whether it is there.
    pub fn is_there(&self, setup: &Setup) -> bool {
        match self.program {
            "" => setup.firmwares > 0,
            "qemu-system-x86_64" => setup.has(self.program) || setup.has("qemu-kvm"),
            program => setup.has(program),
        }
    }

    /// Its package on this distribution; `None` for an unknown distribution.
    pub fn package(&self, distribution: &Distribution) -> Option<&'static str> {
        Some(self.packages[family(distribution)?])
    }
}

/// Whether it is of Debian's family.
pub(super) fn is_debian(host: &Host) -> bool {
    family(&host.platform.distribution) == Some(0)
}

fn family(distribution: &Distribution) -> Option<usize> {
    let families = [&["debian", "ubuntu"][..], &["fedora", "rhel", "centos"], &["arch"], &["suse", "opensuse"]];
    families.iter().position(|ids| distribution.is_like(ids))
}

/// The command of each family that installs without asking.
const INSTALL: [&[&str]; 4] = [
    &["apt-get", "install", "-y"],
    &["dnf", "install", "-y"],
    &["pacman", "-S", "--needed", "--noconfirm"],
    &["zypper", "--non-interactive", "install"],
];

/// One command that installs what is required and missing. `vgapt undo` does not remove packages.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: &Wanted) -> Result<Edits, Finding> {
    let is_needed = |piece: &&SoftwarePackage| piece.required || (piece.program == "smbd" && !wanted.shares.shares.is_empty());
    let missing: Vec<&SoftwarePackage> = SOFTWARE.iter().filter(is_needed).filter(|piece| !piece.is_there(setup)).collect();
    let mut edits = Edits::default();
    if missing.is_empty() {
        return Ok(edits);
    }
    let names: Vec<&str> = missing.iter().map(|piece| piece.name).collect();
    let Some(family) = family(&host.platform.distribution) else {
        return Err(Finding::error(
            "packages",
            format!("how this distribution installs packages is not known; missing: {}", names.join(", ")),
            "install them with its package manager, and omit --install",
        ));
    };
    let packages: Vec<&str> = missing.iter().map(|piece| piece.packages[family]).collect();
    let argv = [INSTALL[family], &packages].concat();
    edits.commands.push(Command::of(&argv, &format!("missing: {}; vgapt undo does not remove packages", names.join(", "))));
    Ok(edits)
}
