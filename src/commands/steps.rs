//! What a start does, step by step, in words.

use crate::domain::{Needs, Passed};
use crate::model::{Finding, Host, PciAddress, PciDevice};

/// What was looked at before anything is touched, and was found right; `findings` are what was not.
/// Of what somebody else passed nobody knows what it was; only root sees who has it open.
pub(super) fn checks(passed: &[Passed], host: &Host, findings: &[Finding], sees_holders: bool) -> Option<String> {
    let named: Vec<String> = passed.iter().map(|passed| passed.address.short()).collect();
    let is_known = |passed: &Passed| passed.id.is_some() && host.device(passed.address).is_some();
    let no_finding = |codes: &[&str]| !findings.iter().any(|finding| codes.contains(&finding.code));
    let right = [
        ("as they were passed", passed.iter().all(is_known) && no_finding(&["device-moved"])),
        ("their group free", host.has_groups() && no_finding(&["group-not-viable", "no-group", "not-known"])),
        ("open nowhere", sees_holders && no_finding(&["device-held"])),
    ];
    let right: Vec<&str> = right.iter().filter(|(_, is_right)| *is_right).map(|(what, _)| *what).collect();
    (!named.is_empty() && !right.is_empty()).then(|| format!("checked: {}: {}", named.join(", "), right.join(", ")))
}

/// What libvirt takes from the host's drivers.
pub(super) fn devices(host: &Host, functions: &[PciAddress]) -> Option<String> {
    let from = |device: &PciDevice| match device.driver.as_deref() {
        Some(driver) if !device.on_vfio() => format!("{} from {driver}", device.address.short()),
        Some(driver) => format!("{} is on {driver}", device.address.short()),
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
