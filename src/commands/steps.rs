//! What a start does, step by step, in words.

use crate::domain::{Needs, Passed};
use crate::model::{Host, PciAddress, PciDevice};

/// What was looked at before anything is touched; `unseen`: why it is not known who has the functions open.
pub(super) fn checks(passed: &[Passed], unseen: Option<&str>) -> Option<String> {
    if passed.is_empty() {
        return None;
    }
    let named: Vec<String> = passed.iter().map(|passed| passed.address.short()).collect();
    // What vgapt did not pass it does not know by its ids.
    let same = if passed.iter().all(|passed| passed.id.is_some()) { "as they were passed" } else { "are there" };
    let open = unseen.map_or_else(|| "open nowhere".to_owned(), |because| format!("whether they are open is not known ({because})"));
    Some(format!("checked: {} {same}, their group free, {open}", named.join(", ")))
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

#[cfg(test)]
mod tests {
    use super::{Passed, PciAddress, checks};
    use crate::model::PciId;

    #[test]
    fn only_what_was_looked_at_is_said() {
        let address = PciAddress { domain: 0, bus: 1, device: 0, function: 0 };
        let known = Passed { address, id: Some(PciId { vendor: 0x10de, device: 0x1401 }), subsystem: None };
        let foreign = Passed { id: None, ..known };
        assert_eq!(checks(&[], None), None);
        assert_eq!(checks(&[known], None).unwrap(), "checked: 01:00.0 as they were passed, their group free, open nowhere");
        let told = checks(&[known, foreign], Some("only root can see")).unwrap();
        assert_eq!(told, "checked: 01:00.0, 01:00.0 are there, their group free, whether they are open is not known (only root can see)");
    }
}
