//! The displays of the host: on which there is none of its drivers, and what keeps these from being loaded.

use super::{BindingContext, command_lines};
use crate::host::wanted::Allow;
use crate::host::{binding, modprobe, refusals};
use crate::model::{Finding, Host, PciAddress, PciDevice, Setup};
use crate::passthrough::{displays_on_vfio, has_outlets};

/// Offers the option by which a host stays without a display.
const KEEP_SO: &str = "to leave it like this (and use the host over ssh)";

/// A line by which a driver is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct KeepsOut {
    /// Its file and number, or the kernel's command line.
    pub(in crate::host) place: String,
    /// Its text.
    pub(in crate::host) words: String,
}

impl KeepsOut {
    /// Its place and text in one phrase.
    pub(in crate::host) fn says(&self) -> String {
        format!("{} says `{}`", self.place, self.words)
    }

    /// How to remove all of them.
    pub(in crate::host) fn removal(lines: &[Self]) -> String {
        let one = |line: &Self| format!("remove `{}` from {}", line.words, line.place);
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

/// The host has a display only if a host driver is bound to one. What vgapt itself binds was allowed, and what a
/// running domain uses returns to the host.
pub(super) fn dark(seen: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, others } = seen;
    let displays = displays_on_vfio(host);
    let by = others.iter().find(|other| displays.iter().any(|display| other.takes.contains(display)));
    let by_us = displays.iter().any(|display| ours.contains(display) || setup.in_domains.have(*display));
    let is_allowed = wanted.allowed.contains(&Allow::OnlyDisplay);
    if displays.is_empty() || is_allowed || (by.is_none() && (by_us || setup.in_domains.0.unknown().is_some())) {
        return None;
    }
    let place = by.map_or_else(|| "something that was not found".to_owned(), |other| other.place.clone());
    // The driver has to come back, too.
    let lines = display_drivers_kept_out(host, setup, &displays);
    let and_out = if lines.is_empty() { String::new() } else { format!(" {}, and", KeepsOut::removal(&lines)) };
    let says: String = lines.iter().map(|line| format!("; {}", line.says())).collect();
    let remedy = by.map_or_else(
        || "find what binds it: grep -rl vfio /etc /usr/local".to_owned(),
        |other| other.remedy(&format!("to give the host its display back:{and_out}")),
    );
    let message = format!("the host has no display: {} is bound to vfio-pci by {place}{says}", PciAddress::list(&displays));
    Some(Finding::blocked("no-display", message, remedy).unless(KEEP_SO, refusals::option(Allow::OnlyDisplay)))
}

/// No display of the host has a driver, and a line keeps one out.
pub(super) fn without_driver(seen: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, .. } = seen;
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| has_outlets(device)).collect();
    let without: Vec<PciAddress> = displays.iter().filter(|device| device.driver.is_none()).map(|device| device.address).collect();
    let are_all = displays.iter().all(|device| device.driver.is_none() || device.on_vfio());
    // Where no device has one, drivers could not be read.
    if !are_all || host.pci.iter().all(|device| device.driver.is_none()) || wanted.allowed.contains(&Allow::OnlyDisplay) {
        return None;
    }
    let lines = display_drivers_kept_out(host, setup, &without);
    let first = lines.first()?;
    let says = lines.iter().map(KeepsOut::says).collect::<Vec<_>>().join(", ");
    let message = format!("the host has no display with a driver: {} has none, and {says}", PciAddress::list(&without));
    let regenerate = if lines.iter().any(|line| line.place != first.place) || first.place.contains("modprobe.d") {
        "regenerate the initramfs and the boot entries"
    } else {
        "regenerate the boot entries"
    };
    let remedy = format!("to give the host its display back: {}, {regenerate}, and reboot", KeepsOut::removal(&lines));
    Some(Finding::blocked("display-kept-out", message, remedy).unless(KEEP_SO, refusals::option(Allow::OnlyDisplay)))
}
