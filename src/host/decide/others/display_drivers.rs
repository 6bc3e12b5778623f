//! What keeps the drivers of the host's displays from being loaded.

use super::command_lines;
use super::keeps_out::ModuleBlocker;
use crate::host::decide::drivers::drivers_of;
use crate::host::decide::modprobe;
use crate::model::{Host, PciAddress, Setup};

/// The lines that prevent the host drivers of these displays from loading.
pub(in crate::host::decide) fn display_drivers_kept_out(host: &Host, setup: &Setup, displays: &[PciAddress]) -> Vec<ModuleBlocker> {
    let drivers: Vec<String> = host.devices(displays).flat_map(|device| drivers_of(setup, device)).collect();
    let is_driver = |module: &str| drivers.iter().any(|driver| *driver == module.replace('-', "_"));
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
