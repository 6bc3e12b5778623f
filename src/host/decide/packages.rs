//! The packages with what a guest needs, for each family of distributions.

use std::collections::BTreeSet;

use crate::host::plan::{Command, Edits};
use crate::host::request::{PackageUse, Wanted};
use crate::model::{Distribution, Finding, Host, Setup};

/// Software that is needed or useful, and its packages.
#[derive(Debug)]
pub struct SoftwarePackage {
    /// What it is.
    pub name: &'static str,
    /// The package of each of [`FAMILIES`].
    packages: [&'static str; 5],
    /// The program by which it is detected.
    pub program: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// Whether no guest runs without it.
    pub required: bool,
}

/// What a guest needs, then what it may use.
pub static SOFTWARE: [SoftwarePackage; 8] = [
    needed("libvirt", "virsh", "it defines and runs the guests").by([
        "libvirt-daemon-system",
        "libvirt-daemon-kvm",
        "libvirt",
        "libvirt-daemon-qemu",
        "libvirt-daemon-system",
    ]),
    needed("QEMU", "qemu-system-x86_64", "it runs the virtual machine").by([
        "qemu-system-x86",
        "qemu-kvm",
        "qemu-desktop",
        "qemu-x86",
        "pve-qemu-kvm",
    ]),
    needed("OVMF", "", "it is the UEFI firmware of guests").by(["ovmf", "edk2-ovmf", "edk2-ovmf", "qemu-ovmf-x86_64", "pve-edk2-firmware"]),
    useful("the disk tools of QEMU", "qemu-img", "it creates the disks of guests").by([
        "qemu-utils",
        "qemu-img",
        "qemu-img",
        "qemu-img",
        "pve-qemu-kvm",
    ]),
    useful("a TPM for Windows 11 (swtpm)", "swtpm", "Windows 11 requires a TPM").by([
        "swtpm-tools",
        "swtpm-tools",
        "swtpm",
        "swtpm",
        "swtpm-tools",
    ]),
    useful("libguestfs", "virt-sparsify", "it reads and compacts the disks of guests").by([
        "libguestfs-tools",
        "guestfs-tools",
        "guestfs-tools",
        "guestfs-tools",
        "libguestfs-tools",
    ]),
    useful("virtiofsd", "virtiofsd", "with it the host shares folders with a guest by virtiofs").by(["virtiofsd"; 5]),
    useful("Samba", "smbd", "with it the host shares folders with Windows").by(["samba"; 5]),
];

const fn needed(name: &'static str, program: &'static str, why: &'static str) -> SoftwarePackage {
    SoftwarePackage { name, packages: [""; 5], program, why, required: true }
}

const fn useful(name: &'static str, program: &'static str, why: &'static str) -> SoftwarePackage {
    SoftwarePackage { required: false, ..needed(name, program, why) }
}

impl SoftwarePackage {
    const fn by(self, packages: [&'static str; 5]) -> Self {
        Self { packages, ..self }
    }

    /// Whether it is there.
    pub fn is_there(&self, setup: &Setup) -> bool {
        match self.program {
            "" => !setup.firmwares.is_empty(),
            "qemu-system-x86_64" => setup.has(self.program) || setup.has("qemu-kvm"),
            program => setup.has(program),
        }
    }

    /// Its package on this distribution; `None` for an unknown distribution.
    pub fn package(&self, distribution: &Distribution) -> Option<&'static str> {
        Some(self.packages[family(distribution)?])
    }
}

/// How a host gets a package whose system is an image: `None` where it is none. `Err` says what no command does here.
pub fn of_image(setup: &Setup, package: &str) -> Option<Result<String, String>> {
    // rpm-ostree(1): it lays packages over the image for the next boot. dnf refuses, since /usr is read-only.
    setup.is_of_ostree().then(|| {
        if setup.has("rpm-ostree") {
            Ok(format!("rpm-ostree install {package}"))
        } else {
            Err(format!("add {package} to the image of this host (`RUN dnf install -y {package}` in its Containerfile), and boot that"))
        }
    })
}

/// The families of distributions: their members, and the command that installs without asking. Proxmox VE is a Debian with its own
/// QEMU, whose package provides Debian's `qemu-system-x86` and conflicts with it: with that one, apt removes Proxmox VE
/// (pve-qemu, commit b090f37a6b: "Provides a qemu-system-x86 virtual package").
const FAMILIES: [(&[&str], &[&str]); 5] = [
    (&["debian", "ubuntu"], &["apt-get", "install", "-y"]),
    (&["fedora", "rhel", "centos"], &["dnf", "install", "-y"]),
    (&["arch"], &["pacman", "-S", "--needed", "--noconfirm"]),
    (&["suse", "opensuse"], &["zypper", "--non-interactive", "install"]),
    (&[Distribution::PROXMOX], &["apt-get", "install", "-y"]),
];

fn family(distribution: &Distribution) -> Option<usize> {
    let of_itself = |(members, _): &(&[&str], _)| distribution.id.as_deref().is_some_and(|id| members.contains(&id));
    FAMILIES.iter().position(of_itself).or_else(|| FAMILIES.iter().position(|(members, _)| distribution.is_like(members)))
}

/// Whether the distribution's firmware for guests has Microsoft's keys; Arch's `edk2-ovmf` has none in its package
/// (<https://archlinux.org/packages/extra/any/edk2-ovmf>).
pub fn firmware_has_keys(distribution: &Distribution) -> bool {
    family(distribution) != Some(2)
}

/// Whether it is of Debian's family.
pub(super) fn is_debian(host: &Host) -> bool {
    host.platform.distribution.is_like(FAMILIES[0].0)
}

/// The commands that install what is missing for these uses. `vgapt undo` does not remove packages.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: &Wanted, uses: &BTreeSet<PackageUse>) -> Result<Edits, Finding> {
    let is_needed = |software: &&SoftwarePackage| match software.program {
        "qemu-img" => uses.contains(&PackageUse::Disk),
        "swtpm" => uses.contains(&PackageUse::Tpm),
        "virtiofsd" => uses.contains(&PackageUse::Virtiofs),
        "smbd" => !wanted.shares.shares.is_empty(),
        _ => software.required,
    };
    let missing: Vec<&SoftwarePackage> = SOFTWARE.iter().filter(is_needed).filter(|software| !software.is_there(setup)).collect();
    let mut edits = Edits::default();
    if missing.is_empty() {
        return Ok(edits);
    }
    let names = |packages: &[&SoftwarePackage]| packages.iter().map(|software| software.name).collect::<Vec<_>>().join(", ");
    let Some(family) = family(&host.platform.distribution) else {
        return Err(Finding::error(
            "packages",
            format!("how this distribution installs packages is not known; missing: {}", names(&missing)),
            "install them with its package manager, and omit --install",
        ));
    };
    let all: Vec<&str> = missing.iter().map(|software| software.packages[family]).collect();
    if let Some(way) = of_image(setup, &all.join(" ")) {
        let how = way.map_or_else(|image| image, |command| format!("{command}, and reboot"));
        return Err(Finding::error(
            "packages",
            format!("the system is an image, to which a running host adds no packages; missing: {}", names(&missing)),
            format!("{how}; then run the same without --install"),
        ));
    }
    let command = |packages: &[&SoftwarePackage]| {
        let named: Vec<&str> = packages.iter().map(|software| software.packages[family]).collect();
        // One package may have several programs.
        let named: Vec<&str> = named.iter().enumerate().filter(|(at, name)| !named[..*at].contains(name)).map(|(_, name)| *name).collect();
        let argv = [FAMILIES[family].1, &named].concat();
        Command::of(&argv, &format!("missing: {}; vgapt undo does not remove packages", names(packages)))
    };
    // A package manager installs all that one command names, or nothing.
    let (optional, needed): (Vec<_>, Vec<_>) = missing.into_iter().partition(|software| software.program == "swtpm");
    edits.commands.extend((!needed.is_empty()).then(|| command(&needed)));
    edits.commands.extend(
        optional
            .into_iter()
            .map(|software| Command { lacking: Some(format!("{}: {}", software.name, software.why)), ..command(&[software]) }),
    );
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_vgapt_name_what_guests_need() {
        let debian = include_str!("../../../packaging/debian/control");
        let rpm = include_str!("../../../packaging/rpm/vgapt.spec");
        let arch = include_str!("../../../packaging/arch/PKGBUILD");
        // In the order of FAMILIES; one .rpm is for two of them, and Proxmox VE provides what Debian's names.
        for (family, text) in [debian, rpm, arch, rpm].iter().enumerate() {
            let named: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).collect();
            for software in &SOFTWARE {
                assert!(named.contains(&software.packages[family]), "{}", software.packages[family]);
            }
        }
    }
}
