//! What others do to the binding of devices: a binding that vgapt does not manage, and a line that prevents a driver from
//! loading; where it is set, and how to remove it.

use std::collections::BTreeSet;

use crate::host::decide::bound::Bound;
use crate::model::{PciAddress, Setup};

/// The drivers that reserve a device for a guest; `NAME.ids` are the kernel parameters for their ids.
pub(super) const DRIVERS: [&str; 2] = ["vfio_pci", STUB];
const STUB: &str = "pci_stub";

/// A binding of devices that vgapt does not manage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExternalBinding {
    /// Where it is set: a file and its line, or the kernel command line.
    pub place: String,
    /// Its text.
    pub words: String,
    /// The functions of this host that it binds, sorted.
    pub takes: Vec<PciAddress>,
    /// What is given as an id, but is not one.
    pub no_ids: Vec<String>,
    /// Ids that its author meant, but that stand behind a space, where they are not read.
    pub(super) behind_space: Vec<String>,
    /// Whether it gives options where none are accepted, so that it binds nothing.
    pub takes_no_options: bool,
    /// The driver to which it binds them, if it names one; with underscores.
    pub(super) driver: Option<String>,
    /// Whether it names devices by ids that are given to the driver as its parameter.
    pub(super) by_ids: bool,
    /// Whether it is certain that it binds what it takes, and nothing else.
    pub(super) is_certain: bool,
    /// The program that it runs, if that does not exist.
    pub(super) missing_program: Option<String>,
    /// Whether it is what modprobe runs to load vfio-pci.
    pub(super) is_install_line: bool,
    /// Whether it is a kernel parameter.
    pub(super) is_parameter: bool,
    /// The command that removes a kernel parameter from the installed kernels' entries, if there is one.
    pub(super) command: Option<String>,
    /// What has to be removed of a script, if that is more than the line: nothing can be read of half a loop.
    pub(super) whole: Option<String>,
    /// Whether it is missing from the entry of the next installed kernel.
    pub(super) fades: bool,
    /// Why it does not bind what it names at the next boot, as far as that is known.
    pub(super) lapse: Option<Lapse>,
}

/// Why a binding does not bind what it names at the next boot, whatever has that now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lapse {
    /// Nothing loads vfio-pci before the host's drivers.
    Late,
    /// Something loads it at boot, and a driver of the host may be first.
    Raced {
        /// Why.
        because: String,
        driver: String,
    },
    /// What boots next lacks the kernel parameter.
    Lost {
        /// That what boots next lacks it.
        because: String,
        /// Where it has to be added to be kept, if that is known.
        source: Option<&'static str>,
        /// Whether no entry that stays has it.
        everywhere: bool,
    },
    /// The script is not run, for this reason.
    Idle(String),
}

impl ExternalBinding {
    /// Its place and text in one phrase.
    pub fn cited(&self) -> String {
        format!("{} ({})", self.place, self.words)
    }

    /// How to remove it.
    pub(in crate::host::decide) fn remedy(&self, first: &str) -> String {
        if self.place.starts_with("/etc/driverctl.d/") {
            let address = self.place.trim_start_matches("/etc/driverctl.d/").split(',').next().unwrap_or_default();
            return format!("{first} driverctl unset-override {address}");
        }
        if let Some(file) = self.place.split(", line").next().filter(|file| file.ends_with("/grub.cfg")) {
            return format!("{first} regenerate {file} (update-grub, or grub-mkconfig -o {file}), and reboot");
        }
        if let Some(command) = self.command.as_ref().filter(|_| self.place.contains("/loader/entries/")) {
            return format!("{first} {command}, and reboot");
        }
        let regenerate = self.regenerate().map(|regenerate| format!(", {regenerate}")).unwrap_or_default();
        format!("{first} remove {}{regenerate}, and reboot", self.removed())
    }

    /// What has to be removed.
    pub(super) fn removed(&self) -> String {
        self.whole.clone().unwrap_or_else(|| format!("`{}` from {}", self.words, self.place))
    }

    /// What has to be regenerated from the file after the removal.
    pub(super) fn regenerate(&self) -> Option<&'static str> {
        const IN_INITRAMFS: [&str; 6] = ["/modprobe.d/", "/udev/rules.d/", "initramfs", "/initcpio/", "/dracut/", "/etc/modules"];
        if self.is_parameter {
            return Some("regenerate the boot entries");
        }
        IN_INITRAMFS.iter().any(|part| self.place.contains(part)).then_some("regenerate the initramfs")
    }

    pub(super) fn new(place: String, words: &str) -> Self {
        Self { place, words: shortened(words), ..Self::default() }
    }

    /// It binds to this driver.
    pub(super) fn to(self, driver: &str) -> Self {
        Self { driver: Some(driver.replace('-', "_")), ..self }
    }

    /// It gives ids to this driver.
    pub(super) fn by_ids(self, driver: &str) -> Self {
        Self { by_ids: true, ..self.to(driver).certain() }
    }

    /// What it takes is all that it binds.
    pub(super) fn certain(self) -> Self {
        Self { is_certain: true, ..self }
    }

    /// Whether it gives vfio-pci ids. Of all that are given only the last count: kmod passes the options of its configuration
    /// first, then those of the kernel's command line, then modprobe's own arguments.
    pub(in crate::host::decide) fn gives_ids(&self) -> bool {
        let is_said = self.driver.is_none() && self.words.contains("ids=");
        ((self.by_ids && !self.is_to_stub()) || is_said) && !self.takes_no_options && !matches!(self.lapse, Some(Lapse::Idle(_)))
    }

    /// Whether its ids may come after those of these functions, and keep vfio-pci from one of them. What is lost with this boot, and
    /// says the same, does not.
    pub(in crate::host::decide) fn overrides(&self, functions: &[Bound]) -> bool {
        let is_lost = matches!(self.lapse, Some(Lapse::Lost { everywhere: true, .. }));
        self.gives_ids() && !(is_lost && functions.iter().all(|bound| self.takes.contains(&bound.address)))
    }

    /// Whether it binds this function for a guest at the next boot, as far as is known.
    pub fn binds(&self, function: PciAddress) -> bool {
        !self.is_to_stub() && self.lapse.is_none() && self.takes.contains(&function)
    }

    /// Whether it does something at the next boot: vfio-pci takes its ids also where it is loaded late.
    pub(super) fn has_effect(&self) -> bool {
        matches!(self.lapse, None | Some(Lapse::Late | Lapse::Raced { .. }))
    }

    /// Whether it waits for vfio-pci to be loaded.
    pub(super) fn waits_for_module(&self) -> bool {
        (self.by_ids && !self.is_to_stub()) || self.is_install_line
    }

    /// Whether it binds to pci-stub, from which no guest gets a device.
    pub(in crate::host::decide) fn is_to_stub(&self) -> bool {
        self.driver.as_deref() == Some(STUB)
    }

    /// Whether it binds to a driver of the host; the variants of vfio-pci for some devices are for guests, too.
    pub(super) fn is_to_host(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| !DRIVERS.contains(&driver) && !driver.contains("vfio"))
    }

    /// Whether it cannot be said which devices it binds.
    pub fn is_unknown(&self) -> bool {
        let is_clear = self.takes_no_options || self.is_certain || self.missing_program.is_some();
        self.takes.is_empty() && self.no_ids.is_empty() && !is_clear
    }

    pub(super) fn parameter(self, setup: &Setup) -> Self {
        let words = &self.words;
        let command = match () {
            // grubby is on such hosts, too, where it changes entries that the next deployment replaces.
            () if setup.is_of_ostree() && setup.has("rpm-ostree") => Some(format!("rpm-ostree kargs --delete-if-present={words}")),
            () if setup.is_of_ostree() => None,
            () => setup.has("grubby").then(|| format!("grubby --update-kernel=ALL --remove-args=\"{words}\"")),
        };
        Self { is_parameter: true, command, ..self }
    }
}

fn shortened(words: &str) -> String {
    const LONGEST: usize = 120;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words,
    }
}

/// The functions of all parts, sorted.
pub(super) fn union(parts: impl IntoIterator<Item = Vec<PciAddress>>) -> Vec<PciAddress> {
    parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// A line that prevents a driver from loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host::decide) struct ModuleBlocker {
    /// Its file and line number, or the kernel command line.
    pub(in crate::host::decide) place: String,
    /// Its text.
    pub(in crate::host::decide) words: String,
}

impl ModuleBlocker {
    /// Its place and text in one phrase.
    pub(in crate::host::decide) fn says(&self) -> String {
        format!("{} says `{}`", self.place, self.words)
    }

    /// How to remove all of them.
    pub(in crate::host::decide) fn removal(lines: &[Self]) -> String {
        let one = |line: &Self| format!("remove `{}` from {}", line.words, line.place);
        lines.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
