//! The platform: IOMMU state, kernel, distribution, boot loader.

use schemars::JsonSchema;
use serde::Serialize;

use super::{BootPages, Size};

/// The directory that exists if the host runs systemd (`sd_booted(3)`).
pub const SYSTEMD: &str = "/run/systemd/system";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    On,
    /// Enabled in the firmware (DMAR, IVRS or VIOT table exists), but not used by the kernel.
    Off,
    /// The firmware does not report one: it is disabled in the firmware settings or does not exist.
    FirmwareOff,
    /// The "host" is a virtual machine without an IOMMU.
    Guest,
    /// Xen runs below this kernel, its dom0, and has the IOMMU and the processor's virtualization.
    Xen,
    #[default]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Cmdline(pub String);

/// The part of a command line that the kernel reads: what follows `--` is for init (`parse_args` of kernel/params.c).
pub fn kernel_part(line: &str) -> &str {
    let (mut is_quoted, mut begin) = (false, 0);
    for (at, letter) in line.char_indices().chain([(line.len(), ' ')]) {
        is_quoted ^= letter == '"';
        if letter.is_ascii_whitespace() && !is_quoted {
            if &line[begin..at] == "--" {
                return &line[..begin];
            }
            begin = at + 1;
        }
    }
    line
}

impl Cmdline {
    /// The parameters for the kernel.
    pub fn parameters(&self) -> impl DoubleEndedIterator<Item = &str> {
        kernel_part(&self.0).split_ascii_whitespace()
    }

    /// The parameters for modules that kmod and dracut read: they read what is for init, too.
    pub fn of_modules(&self) -> impl Iterator<Item = &str> {
        let behind = &self.0[kernel_part(&self.0).len()..];
        self.parameters()
            .chain(behind.split_ascii_whitespace().filter(|token| token.split('=').next().is_some_and(|name| name.contains('.'))))
    }

    /// The value of the last `name=value` (empty for a bare `name`); `-` and `_` are equivalent, as in the kernel.
    pub fn get(&self, name: &str) -> Option<&str> {
        let same = |a: &str| a.replace('-', "_") == name.replace('-', "_");
        self.parameters().rev().find_map(|token| {
            let (key, value) = token.split_once('=').unwrap_or((token, ""));
            same(key).then_some(value)
        })
    }

    /// The huge pages of this size that it reserves.
    pub fn boot_pages(&self, page: Size) -> Option<BootPages> {
        let split = |token| str::split_once(token, '=').map_or((token, None), |(name, value)| (name, Some(value)));
        let parameters: Vec<(&str, Option<&str>)> = self.parameters().map(split).collect();
        parameters[BootPages::place(&parameters, page)?].1?.parse().ok()
    }

    /// The parameter that disables the IOMMU.
    pub fn iommu_off(&self) -> Option<&'static str> {
        IOMMU_PARAMETERS.into_iter().find(|name| self.get(name).is_some_and(|value| Self::is_iommu_off(name, value)))
    }

    /// Whether this parameter with this value disables the IOMMU.
    pub fn is_iommu_off(name: &str, value: &str) -> bool {
        IOMMU_PARAMETERS.contains(&name) && value.split(',').any(|part| part == "off")
    }
}

const IOMMU_PARAMETERS: [&str; 3] = ["intel_iommu", "amd_iommu", "iommu"];

/// The distribution, from `os-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Distribution {
    /// `debian`, `fedora`, `arch`, …
    pub id: Option<String>,
    /// The distributions it is based on.
    pub like: Vec<String>,
    /// `13`, `24.04`, …
    pub version: Option<String>,
    pub name: Option<String>,
}

impl Distribution {
    /// The id of Proxmox VE here; its `os-release` is Debian's.
    pub const PROXMOX: &'static str = "proxmox";

    pub fn is_proxmox(&self) -> bool {
        self.id.as_deref() == Some(Self::PROXMOX)
    }

    /// Whether it is one of these, or based on one.
    pub fn is_like(&self, ids: &[&str]) -> bool {
        self.id.iter().chain(&self.like).any(|id| ids.contains(&id.as_str()))
    }

    /// The command that installs a package on this distribution; `None` if it is unknown.
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

/// A boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootLoader {
    Grub,
    SystemdBoot,
    Limine,
    /// System76's kernelstub (it writes systemd-boot's entries).
    Kernelstub,
    /// rpm-ostree or bootc, which manage the entries themselves.
    Ostree,
    /// A unified kernel image (UKI): kernel, initramfs and command line in one EFI program, no matter what starts it.
    UnifiedKernelImage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InitramfsTool {
    InitramfsTools,
    Dracut,
    Mkinitcpio,
    Booster,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Platform {
    pub iommu: Iommu,
    /// The firmware's tables that describe an IOMMU: `DMAR`, `IVRS`, `VIOT`.
    pub iommu_tables: Vec<String>,
    /// Address bits of the narrowest IOMMU; `None` if unknown (AMD).
    pub iommu_bits: Option<u32>,
    /// Kernel release.
    pub kernel: Option<String>,
    pub cmdline: Option<Cmdline>,
    pub board: Option<String>,
    pub distribution: Distribution,
    /// The initramfs tools whose configuration exists.
    pub initramfs_tools: Vec<InitramfsTool>,
    /// Whether vgapt's libvirt hook is installed, which reserves huge pages for a domain when it starts.
    pub has_hook: bool,
}

impl Platform {
    /// Whether the running kernel is at least this version; `None` if unknown.
    pub fn kernel_at_least(&self, major: u32, minor: u32) -> Option<bool> {
        at_least(self.kernel.as_deref()?, major, minor)
    }
}

/// Whether a kernel release is at least this version; `None` if it cannot be parsed.
pub fn at_least(release: &str, major: u32, minor: u32) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?) >= (major, minor))
}

/// The order of two releases: numbers as numbers, so that 6.9 comes before 6.12.
pub fn version_order(one: &str, other: &str) -> std::cmp::Ordering {
    let parts = |release: &str| -> Vec<(u64, String)> {
        let words = release.split(|c: char| !c.is_ascii_alphanumeric());
        words.map(|word| (word.parse().unwrap_or(0), word.to_owned())).collect()
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmdline_tokens() {
        let behind = Cmdline("quiet dyndbg=\"a -- b\" iommu=pt -- iommu=off vfio-pci.ids=1:2".into());
        assert_eq!((behind.get("iommu"), behind.get("vfio-pci.ids")), (Some("pt"), None));
        assert_eq!(behind.of_modules().last(), Some("vfio-pci.ids=1:2"));
        assert_eq!(["-- a", "a --", "a --b", ""].map(kernel_part), ["", "a ", "a --b", ""]);
        let cmdline = Cmdline("ro intel_iommu=off quiet vfio_pci.ids=1:2 intel_iommu=on".into());
        assert_eq!(cmdline.get("intel_iommu"), Some("on"));
        assert_eq!(cmdline.get("vfio-pci.ids"), Some("1:2"));
        assert_eq!(cmdline.get("quiet"), Some(""));
        assert_eq!(cmdline.get("iommu"), None);
    }

    #[test]
    fn releases_in_order() {
        let mut releases = ["6.12.9-amd64", "6.9.1-amd64", "6.12.10-amd64", "6.12.9-rc1", "5.14.0-570.el9"];
        releases.sort_by(|one, other| version_order(one, other));
        assert_eq!(releases, ["5.14.0-570.el9", "6.9.1-amd64", "6.12.9-amd64", "6.12.9-rc1", "6.12.10-amd64"]);
    }

    #[test]
    fn kernel_versions_compare_as_numbers() {
        let platform = |kernel: &str| Platform { kernel: Some(kernel.into()), ..Platform::default() };
        assert_eq!(platform("6.10.0-arch1").kernel_at_least(6, 2), Some(true));
        assert_eq!(platform("5.14.0-570.el9").kernel_at_least(5, 15), Some(false));
        assert_eq!(platform("weird").kernel_at_least(6, 2), None);
    }
}
