//! What runs on the machine: IOMMU state, kernel, distribution, boot loader.

use serde::Serialize;

/// Is there while systemd runs the host (`sd_booted(3)`).
pub const SYSTEMD: &str = "/run/systemd/system";

/// What can be said of the host's IOMMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    /// There are IOMMU groups.
    On,
    /// The firmware has it (DMAR, IVRS or VIOT table), the kernel does not use it.
    Off,
    /// The firmware shows none: switched off in its settings, or not there.
    FirmwareOff,
    /// The "host" is a virtual machine that was given none.
    Guest,
    /// Could not be found out.
    #[default]
    Unknown,
}

/// The kernel's command line, token by token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Cmdline(pub String);

impl Cmdline {
    /// The value of the last `name=value` (empty for a bare `name`); `-` and `_` are the same, as for the kernel.
    pub fn get(&self, name: &str) -> Option<&str> {
        let same = |a: &str| a.replace('-', "_") == name.replace('-', "_");
        self.0.split_ascii_whitespace().rev().find_map(|token| {
            let (key, value) = token.split_once('=').unwrap_or((token, ""));
            same(key).then_some(value)
        })
    }
}

/// The distribution, from `os-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Distribution {
    /// `debian`, `fedora`, `arch`, …
    pub id: Option<String>,
    /// The distributions it descends from.
    pub like: Vec<String>,
    /// `13`, `24.04`, …
    pub version: Option<String>,
    /// For people.
    pub name: Option<String>,
}

impl Distribution {
    /// Whether it is, or descends from, one of these.
    pub fn is_like(&self, ids: &[&str]) -> bool {
        self.id.iter().chain(&self.like).any(|id| ids.contains(&id.as_str()))
    }

    /// The command by which this distribution installs the package it names so; `None` where it is not known.
    pub fn install_command(&self, package: &str) -> Option<String> {
        let manager = if self.is_like(&["debian", "ubuntu"]) {
            "apt install"
        } else if self.is_like(&["fedora", "rhel", "centos"]) {
            "dnf install"
        } else if self.is_like(&["arch"]) {
            "pacman -S"
        } else if self.is_like(&["suse", "opensuse"]) {
            "zypper install"
        } else {
            return None;
        };
        Some(format!("{manager} {package}"))
    }
}

/// A boot loader whose configuration was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootLoader {
    /// GRUB 2.
    Grub,
    /// systemd-boot.
    SystemdBoot,
    /// Limine.
    Limine,
    /// System76's kernelstub (it writes systemd-boot's entries).
    Kernelstub,
    /// rpm-ostree or bootc, which own the entries themselves.
    Ostree,
    /// Kernel, initramfs and command line in one EFI program (UKI), whatever starts it.
    UnifiedKernelImage,
}

/// What makes the initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitramfsTool {
    /// Debian's initramfs-tools.
    InitramfsTools,
    /// dracut.
    Dracut,
    /// Arch's mkinitcpio.
    Mkinitcpio,
    /// booster.
    Booster,
}

/// What runs on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Platform {
    /// State of the IOMMU.
    pub iommu: Iommu,
    /// The firmware's tables that speak of an IOMMU: `DMAR`, `IVRS`, `VIOT`.
    pub iommu_tables: Vec<String>,
    /// Bits of an address that the narrowest IOMMU translates; `None` where it does not tell (AMD's).
    pub iommu_bits: Option<u32>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Command line of the running kernel.
    pub cmdline: Option<Cmdline>,
    /// The board's name.
    pub board: Option<String>,
    /// The distribution.
    pub distribution: Distribution,
    /// The boot loaders whose configuration is there.
    pub boot_loaders: Vec<BootLoader>,
    /// The initramfs tools whose configuration is there.
    pub initramfs_tools: Vec<InitramfsTool>,
    /// Whether libvirt's hook is there, which makes room for a domain of vgapt's when it starts.
    pub has_hook: bool,
}

impl Platform {
    /// Whether the running kernel is at least this version; `None` where it is not known.
    pub fn kernel_at_least(&self, major: u32, minor: u32) -> Option<bool> {
        at_least(self.kernel.as_deref()?, major, minor)
    }
}

/// Whether a kernel release is at least this version, compared as numbers; `None` where it makes no sense.
pub fn at_least(release: &str, major: u32, minor: u32) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?) >= (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmdline_tokens() {
        let cmdline = Cmdline("ro intel_iommu=off quiet vfio_pci.ids=1:2 intel_iommu=on".into());
        assert_eq!(cmdline.get("intel_iommu"), Some("on"));
        assert_eq!(cmdline.get("vfio-pci.ids"), Some("1:2"));
        assert_eq!(cmdline.get("quiet"), Some(""));
        assert_eq!(cmdline.get("iommu"), None);
    }

    #[test]
    fn kernel_versions_compare_as_numbers() {
        let platform = |kernel: &str| Platform { kernel: Some(kernel.into()), ..Platform::default() };
        assert_eq!(platform("6.10.0-arch1").kernel_at_least(6, 2), Some(true));
        assert_eq!(platform("5.14.0-570.el9").kernel_at_least(5, 15), Some(false));
        assert_eq!(platform("weird").kernel_at_least(6, 2), None);
    }
}
