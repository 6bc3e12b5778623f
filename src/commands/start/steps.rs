//! What a start does, step by step, in words.

use crate::domain::{Needs, Passed};
use crate::model::{Finding, Host, PciAddress, PciDevice};

/// Whether it was looked at who has the functions open: root alone sees it of other users' processes, and a
/// function that no driver of the host has is open to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holders {
    Seen,
    NotSeen,
}

/// What was looked at before anything is touched and is right, and what could not be looked at; `findings` are what is not right.
pub(super) fn checks(passed: &[Passed], host: &Host, findings: &[Finding], holders: Holders) -> Option<String> {
    let named = |is_recorded: bool, words: &str| {
        let functions: Vec<String> =
            passed.iter().filter(|passed| passed.id.is_some() == is_recorded).map(|passed| passed.address.short()).collect();
        (!functions.is_empty()).then(|| format!("{} {words}", functions.join(", ")))
    };
    // What somebody else passed could be another device than it was.
    let found: Vec<String> = [
        named(true, if findings.iter().any(|finding| finding.code == "device-moved") { "there" } else { "as they were passed" }),
        named(false, "there"),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Node devices name no drivers, so that nothing is known of a group.
    let looked_at = [
        (host.unknown.is_empty(), "their group free", "the drivers in their group"),
        (holders == Holders::Seen, "open nowhere", "who has them open"),
    ];
    // With --force a start goes on although something was found.
    let is_right = |words: &str| {
        let codes: &[&str] = if words == "open nowhere" { &["device-held"] } else { &["group-not-viable", "no-group", "not-known"] };
        !findings.iter().any(|finding| codes.contains(&finding.code))
    };
    let known: String =
        looked_at.iter().filter(|(known, words, _)| *known && is_right(words)).map(|(_, words, _)| format!(", {words}")).collect();
    let unknown: Vec<&str> = looked_at.iter().filter(|(known, ..)| !known).map(|(.., words)| *words).collect();
    let unknown = if unknown.is_empty() { String::new() } else { format!("; not known: {}", unknown.join(", ")) };
    (!found.is_empty()).then(|| format!("checked: {}{known}{unknown}", found.join("; ")))
}

/// What libvirt takes from the host's drivers.
pub(super) fn devices(host: &Host, functions: &[PciAddress]) -> Option<String> {
    let from = |device: &PciDevice| match device.driver.as_deref() {
        Some(driver) if !device.on_vfio() => format!("{} from {driver}", device.address.short()),
        Some(driver) => format!("{} is on {driver}", device.address.short()),
        None if host.unknown.iter().any(|what| what.starts_with("drivers")) => {
            format!("{} from a driver that is not known", device.address.short())
        }
        None => format!("{} from no driver", device.address.short()),
    };
    let named: Vec<String> = host.devices(functions).map(from).collect();
    (!named.is_empty()).then(|| format!("devices: {}", named.join(", ")))
}

/// What libvirt's hook does for the domain, where there is one.
pub(super) fn hook(needs: Option<&Needs>, is_installed: bool) -> Option<String> {
    let needs = needs?;
    let pages = needs.pages.map(|pages| format!("{} in huge pages", pages.memory));
    let cpus = (!needs.cpus.0.is_empty()).then(|| format!("CPUs {} kept free", needs.cpus));
    let display = needs.handover.then(|| "the display manager ends, until the domain does".to_owned());
    let all: Vec<String> = [pages, cpus, display].into_iter().flatten().collect();
    let does = if all.is_empty() { "looks at the devices once more".to_owned() } else { all.join(", ") };
    Some(if is_installed { format!("hook: {does}") } else { "hook: not installed, see `vgapt check`".to_owned() })
}
