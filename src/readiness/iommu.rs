//! The IOMMU in its states: off in the firmware, off in the kernel, on, none because this is a guest.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::model::Iommu;
use crate::passthrough::missing_iommu;

const WHY: &str = "a device can be assigned to a guest only behind an IOMMU, which confines its memory accesses to the guest";

pub(super) fn check(prepared: &Prepared) -> Check {
    let (host, needs) = (prepared.facts.host, &prepared.needs);
    let check = |seen: String| Check::ok("iommu", Group::Iommu, "IOMMU", seen);
    let (seen, remedy) = missing_iommu(host);
    match host.platform.iommu {
        Iommu::On => {
            let units: Vec<&str> = prepared.facts.observed.iommus.iter().map(|unit| unit.name.as_str()).collect();
            let units = if units.len() > 4 { format!(" ({} units)", units.len()) } else { format!(" ({})", units.join(", ")) };
            check(format!("on, {} groups{}", host.groups().len(), if units == " ()" { String::new() } else { units }))
        }
        Iommu::Unknown => {
            check(String::new()).unknown(&format!("{} (ACPI tables and IOMMU groups)", prepared.facts.observed.reach.because()))
        }
        Iommu::Off if !needs.lacks_now.is_empty() => {
            let tokens: Vec<&str> = needs.lacks_now.iter().map(|parameter| parameter.token.as_str()).collect();
            if prepared.writes() || needs.next_boot_has_them() == Some(false) {
                return check(seen).missing(Step::Prepare, WHY, prepared.remedy());
            }
            let known = if needs.next_boot_has_them().is_some() { "the next boot has it" } else { "the configuration has it" };
            check(format!("{seen} yet; {known}: {}", tokens.join(" "))).missing(Step::Reboot, WHY, prepared.reboot())
        }
        Iommu::Off | Iommu::FirmwareOff | Iommu::Guest => check(seen).missing(Step::Firmware, WHY, remedy),
    }
}
