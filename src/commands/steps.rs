//! What a start does, step by step, in words.

use crate::domain::Needs;
use crate::model::{Host, PciAddress, PciDevice};

/// What is looked at before anything is touched.
pub(super) fn checks(functions: &[PciAddress]) -> Option<String> {
    let named: Vec<String> = functions.iter().map(|function| function.short()).collect();
    (!named.is_empty()).then(|| format!("checked: {} as they were passed, their group free, open nowhere", named.join(", ")))
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
