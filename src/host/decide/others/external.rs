//! What others do to the binding of devices: a binding that vgapt does not manage, and a line that prevents a driver from
//! loading; where it is set, and how to remove it.

use std::collections::BTreeSet;

use crate::model::{PciAddress, Setup};

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
    /// The driver to which it binds them, if it names one.
    pub(super) driver: Option<&'static str>,
    /// Whether it is a kernel parameter.
    pub(super) is_parameter: bool,
    /// The command that removes a kernel parameter from the installed kernels' entries, if there is one.
    pub(super) command: Option<String>,
    /// Whether it is missing from the entry of the next installed kernel.
    pub(super) fades: bool,
}

impl ExternalBinding {
    /// Its place and text in one phrase.
    pub fn cited(&self) -> String {
        format!("{} ({})", self.place, self.words)
    }

    /// How to remove it.
    pub(super) fn remedy(&self, first: &str) -> String {
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
        format!("{first} remove `{}` from {}{regenerate}, and reboot", self.words, self.place)
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

    pub(super) fn by(self, driver: &'static str) -> Self {
        Self { driver: Some(driver), ..self }
    }

    pub(super) fn parameter(self, setup: &Setup) -> Self {
        let command = setup.has("grubby").then(|| format!("grubby --update-kernel=ALL --remove-args=\"{}\"", self.words));
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
