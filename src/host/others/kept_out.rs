//! What keeps the driver of a display from being loaded.

use super::command_lines;
use crate::host::{binding, modprobe};
use crate::model::{Host, PciAddress, Setup};

/// A line by which a driver is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct KeepsOut {
    /// Its file and number, or the kernel's command line.
    pub(in crate::host) place: String,
    /// How it reads.
    pub(in crate::host) words: String,
}

impl KeepsOut {
    /// It in one phrase.
    pub(in crate::host) fn says(&self) -> String {
        format!("{} says `{}`", self.place, self.words)
    }

    /// How all of them are taken back.
    pub(in crate::host) fn all_taken_out(lines: &[Self]) -> String {
        let one = |line: &Self| format!("take `{}` out of {}", line.words, line.place);
        lines.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// The lines by which the own drivers of these displays are not loaded.
pub(in crate::host) fn display_drivers_kept_out(host: &Host, setup: &Setup, displays: &[PciAddress]) -> Vec<KeepsOut> {
    let drivers: Vec<String> = host.devices(displays).flat_map(|device| binding::drivers_of(setup, device)).collect();
    let is_driver = |module: &str| drivers.iter().any(|driver| *driver == module.replace('-', "_"));
    let configuration = modprobe::read(setup, &[]);
    let keeps_out = |line: &&modprobe::Line| match line.command.as_str() {
        "blacklist" => true,
        "install" => line.loads_nothing(),
        "alias" => line.rest == "off",
        _ => false,
    };
    let lines = configuration.lines.iter().filter(keeps_out).filter(|line| is_driver(&line.name));
    let mut found: Vec<KeepsOut> = lines.map(|line| KeepsOut { place: line.place(), words: line.words() }).collect();
    found.extend(command_lines::keeping_out(host, setup, is_driver));
    found
}
