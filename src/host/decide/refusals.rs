//! What prepare refuses, and the options that override it.

use super::allowed::{Handling, OVERRIDE_HINT, handling, option};
use super::others::{self, ModuleBlocker};
use crate::host::request::{Bind, Wanted};
use crate::model::{Finding, Host, PciAddress, Setup};
use crate::passthrough::{Danger, DangerKind, dangers, displays_without_driver, only_display_remedy};

/// All refusals that the request does not override.
pub(super) fn of(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let mut findings: Vec<Finding> = wanted.functions.iter().filter_map(|address| unsuitable(host, *address)).collect();
    findings.extend(dangers(host, &setup.uses, &wanted.functions).into_iter().filter_map(|danger| refusal(host, setup, danger, wanted)));
    findings
}

fn refusal(host: &Host, setup: &Setup, danger: Danger, wanted: &Wanted) -> Option<Finding> {
    let Danger { kind, message, remedy } = danger;
    let allow = match handling(kind) {
        Handling::Told => return Some(Finding::warning(kind.code(), message, remedy)),
        Handling::Refused => return Some(Finding::blocked(kind.code(), message, remedy)),
        Handling::Unless(allow) => allow,
    };
    if wanted.allowed.contains(&allow) {
        return None;
    }
    // The host has its display until the guest starts, and with define --handover again after it has stopped.
    if matches!(kind, DangerKind::OnlyDisplay | DangerKind::OnlyPicture) && wanted.bind == Bind::Start {
        return Some(Finding::warning(
            kind.code(),
            format!("{message} while a guest uses it"),
            only_display_remedy(host, &wanted.functions),
        ));
    }
    let lines = others::display_drivers_kept_out(host, setup, &displays_without_driver(host, &wanted.functions));
    let (message, remedy) = match kind {
        DangerKind::OnlyPicture if !lines.is_empty() => (
            format!("{message}, and {}", lines.iter().map(ModuleBlocker::says).collect::<Vec<_>>().join(", ")),
            format!("{}, regenerate the initramfs and the boot entries, and reboot first", ModuleBlocker::removal(&lines)),
        ),
        _ => (message, remedy),
    };
    Some(Finding::blocked(kind.code(), message, remedy).unless(OVERRIDE_HINT, option(allow)))
}

fn unsuitable(host: &Host, address: PciAddress) -> Option<Finding> {
    match host.device(address) {
        None => Some(Finding::error("no-device", format!("there is no PCI function at {address}"), "vgapt list --all shows all functions")),
        Some(device) if device.is_bridge() || device.class.is_any_bridge() => Some(Finding::error(
            "bridge",
            format!("{} is a bridge: it stays with the host, and does not prevent passing its group through", address.short()),
            "name the devices behind the bridge",
        )),
        Some(_) => None,
    }
}
