//! Finds host displays without a host driver, and what prevents that driver from loading.

use super::context::BindingContext;
use super::display_drivers::display_drivers_kept_out;
use super::keeps_out::ModuleBlocker;
use crate::host::decide::allowed::option;
use crate::host::request::Allow;
use crate::model::{Finding, PciAddress, PciDevice};
use crate::passthrough::{displays_on_vfio, has_outlets};

/// Introduces the option to leave the host without a display.
const KEEP_SO: &str = "to leave it like this (and use the host over ssh)";

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
    // The host driver must be able to load again, too.
    let lines = display_drivers_kept_out(host, setup, &displays);
    let and_out = if lines.is_empty() { String::new() } else { format!(" {}, and", ModuleBlocker::removal(&lines)) };
    let says: String = lines.iter().map(|line| format!("; {}", line.says())).collect();
    let remedy = by.map_or_else(
        || "find what binds it: grep -rl vfio /etc /usr/local".to_owned(),
        |other| other.remedy(&format!("to give the host its display back:{and_out}")),
    );
    let message = format!("the host has no display: {} is bound to vfio-pci by {place}{says}", PciAddress::list(&displays));
    Some(Finding::blocked("no-display", message, remedy).unless(KEEP_SO, option(Allow::OnlyDisplay)))
}

/// Blocked if no display of the host has a driver and a line prevents one from loading.
pub(super) fn without_driver(seen: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, .. } = seen;
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| has_outlets(device)).collect();
    let without: Vec<PciAddress> = displays.iter().filter(|device| device.driver.is_none()).map(|device| device.address).collect();
    let are_all = displays.iter().all(|device| device.driver.is_none() || device.on_vfio());
    // If no device at all has a driver, the drivers could not be read.
    if !are_all || host.pci.iter().all(|device| device.driver.is_none()) || wanted.allowed.contains(&Allow::OnlyDisplay) {
        return None;
    }
    let lines = display_drivers_kept_out(host, setup, &without);
    let first = lines.first()?;
    let says = lines.iter().map(ModuleBlocker::says).collect::<Vec<_>>().join(", ");
    let message = format!("no display of the host has a driver: {} has none, and {says}", PciAddress::list(&without));
    let regenerate = if lines.iter().any(|line| line.place != first.place) || first.place.contains("modprobe.d") {
        "regenerate the initramfs and the boot entries"
    } else {
        "regenerate the boot entries"
    };
    let remedy = format!("to give the host its display back: {}, {regenerate}, and reboot", ModuleBlocker::removal(&lines));
    Some(Finding::blocked("display-kept-out", message, remedy).unless(KEEP_SO, option(Allow::OnlyDisplay)))
}
