//! The lines that keep drivers of the host from loading, from each place where they can be set.

use super::command_lines;
use super::external::ModuleBlocker;
use crate::host::decide::{drivers, modprobe};
use crate::model::{Host, PciAddress, Setup};

/// The lines that prevent the host drivers of these functions from loading, each with its place.
pub fn drivers_kept_out(host: &Host, setup: &Setup, functions: &[PciAddress]) -> Vec<String> {
    display_drivers_kept_out(host, setup, functions).iter().map(ModuleBlocker::says).collect()
}

/// The lines that prevent the host drivers of these displays from loading.
pub(in crate::host::decide) fn display_drivers_kept_out(host: &Host, setup: &Setup, displays: &[PciAddress]) -> Vec<ModuleBlocker> {
    let drivers: Vec<String> = host.devices(displays).flat_map(|device| drivers::of_host(setup, device)).collect();
    kept_out(host, setup, |module| drivers.iter().any(|driver| *driver == module.replace('-', "_")))
}

/// The lines that prevent these modules from loading by themselves.
pub(super) fn kept_out(host: &Host, setup: &Setup, is_driver: impl Fn(&str) -> bool + Copy) -> Vec<ModuleBlocker> {
    let configuration = modprobe::read(setup, &[]);
    let keeps_out = |line: &&modprobe::Line| match line.command.as_str() {
        "blacklist" => true,
        "install" => line.loads_nothing(),
        "alias" => line.rest == "off",
        _ => false,
    };
    let lines = configuration.lines.iter().filter(keeps_out).filter(|line| is_driver(&line.name));
    let mut found: Vec<ModuleBlocker> = lines.map(|line| ModuleBlocker { place: line.place(), words: line.words() }).collect();
    found.extend(command_lines::keeping_out(host, setup, is_driver));
    found
}
