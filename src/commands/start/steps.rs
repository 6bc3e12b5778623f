//! Messages about the steps of a start.

use crate::domain::{HostResources, Passed};
use crate::model::{Finding, Host, PciAddress, PciDevice};

/// Whether it is known which processes have the functions open: only root sees those of other users. A function
/// that is not bound to a host driver cannot be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holders {
    Seen,
    NotSeen,
}

/// What was checked before the start and is right, and what could not be checked; `findings` are what is wrong.
pub(super) fn checks(passed: &[Passed], host: &Host, findings: &[Finding], holders: Holders) -> Option<String> {
    let named = |is_recorded: bool, words: &str| {
        let functions: Vec<String> =
            passed.iter().filter(|passed| passed.id.is_some() == is_recorded).map(|passed| passed.address.short()).collect();
        (!functions.is_empty()).then(|| format!("{} {words}", functions.join(", ")))
    };
    // Of a function that vgapt did not add, no id is recorded: it could be another device now.
    let found: Vec<String> = [
        named(true, if findings.iter().any(|finding| finding.code == "device-moved") { "present" } else { "as assigned" }),
        named(false, "present"),
    ]
    .into_iter()
    .flatten()
    .collect();
    // libvirt's node devices do not name drivers, so whether a group is in use is unknown.
    let looked_at = [
        (host.unknown.is_empty(), "their group not in use", "the drivers in their group"),
        (holders == Holders::Seen, "not in use by processes", "which processes have them open"),
    ];
    // With --force a start continues in spite of findings.
    let is_right = |words: &str| {
        let codes: &[&str] =
            if words == "not in use by processes" { &["device-held"] } else { &["group-not-viable", "no-group", "not-known"] };
        !findings.iter().any(|finding| codes.contains(&finding.code))
    };
    let known: String =
        looked_at.iter().filter(|(known, words, _)| *known && is_right(words)).map(|(_, words, _)| format!(", {words}")).collect();
    let unknown: Vec<&str> = looked_at.iter().filter(|(known, ..)| !known).map(|(.., words)| *words).collect();
    let unknown = if unknown.is_empty() { String::new() } else { format!("; unknown: {}", unknown.join(", ")) };
    (!found.is_empty()).then(|| format!("checked: {}{known}{unknown}", found.join("; ")))
}

/// What libvirt unbinds from the host's drivers.
pub(super) fn devices(host: &Host, functions: &[PciAddress]) -> Option<String> {
    let from = |device: &PciDevice| match device.driver.as_deref() {
        Some(driver) if !device.on_vfio() => format!("{} from {driver}", device.address.short()),
        Some(driver) => format!("{} is on {driver}", device.address.short()),
        None if host.unknown.iter().any(|what| what.starts_with("drivers")) => {
            format!("{} from an unknown driver", device.address.short())
        }
        None => format!("{} from no driver", device.address.short()),
    };
    let named: Vec<String> = host.devices(functions).map(from).collect();
    (!named.is_empty()).then(|| format!("devices: {}", named.join(", ")))
}

/// What libvirt's hook does for the domain, where there is one.
pub(super) fn hook(needs: Option<&HostResources>, is_installed: bool) -> Option<String> {
    let needs = needs?;
    let pages = needs.pages.map(|pages| format!("{} in huge pages", pages.memory));
    let cpus = (!needs.cpus.0.is_empty()).then(|| format!("CPUs {} isolated", needs.cpus));
    let display = needs.handover.then(|| "the display manager stops until the domain ends".to_owned());
    let all: Vec<String> = [pages, cpus, display].into_iter().flatten().collect();
    let does = if all.is_empty() { "checks the devices again".to_owned() } else { all.join(", ") };
    Some(if is_installed { format!("hook: {does}") } else { "hook: not installed, see `vgapt check`".to_owned() })
}
