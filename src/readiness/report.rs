//! All checks, in the order of the report.

use serde::Serialize;

use super::check::{Check, Group};
use super::facts::Facts;
use super::prepared::Prepared;
use super::summary::Summary;
use super::{
    address_width, binding, boot, cards, firmware_rom, framebuffer, held, hook, initramfs, interrupts, iommu, kernel_log, libvirt, memory,
    modules, others, parameters, processor, samba, software,
};
use crate::model::{Finding, PciAddress};
use crate::passthrough;

/// Warnings about the host that have checks of their own.
const CHECKED_ELSEWHERE: [&str; 5] = ["virtualization-off", "iommu-off", "iommu-firmware-off", "iommu-guest", "iommu-unknown"];

/// Replaces a remedy that prepare would refuse.
const NOT_BY_PREPARE: &str = "see 'configuration': vgapt prepare writes nothing on this system";

/// Whether a host is ready, and what was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is missing, and the one next step.
    #[serde(flatten)]
    pub summary: Summary,
    /// The cards selected for a guest.
    pub cards: Vec<PciAddress>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Looks at everything.
pub fn check(facts: &Facts) -> Report {
    let prepared = Prepared::of(*facts);
    let mut checks = processor::checks(&prepared);
    checks.push(iommu::check(&prepared));
    checks.extend(interrupts::check(&prepared));
    checks.extend(address_width::check(&prepared));
    checks.extend(of_host(&prepared));
    checks.extend(cards::checks(&prepared));
    for card in facts.cards {
        checks.push(framebuffer::check(&prepared, card));
        checks.extend(firmware_rom::check(&prepared, card));
    }
    checks.extend(held::check(&prepared));
    checks.extend(boot::checks(&prepared));
    checks.extend(parameters::checks(&prepared));
    checks.extend(modules::checks(&prepared));
    checks.extend(initramfs::checks(&prepared));
    checks.extend(binding::checks(&prepared));
    checks.extend(others::checks(&prepared));
    checks.extend(memory::checks(&prepared));
    checks.extend(libvirt::checks(&prepared));
    checks.extend(hook::checks(&prepared));
    checks.extend(software::checks(&prepared));
    checks.extend(samba::checks(&prepared));
    checks.extend(kernel_log::checks(&prepared));
    if prepared.generated().is_some() {
        let by_prepare = checks.iter_mut().filter(|check| check.code != "generated" && check.is_by_prepare());
        by_prepare.for_each(|check| NOT_BY_PREPARE.clone_into(&mut check.remedy));
    }
    checks.sort_by_key(|check| check.group);
    let summary = Summary::of(&prepared, &checks);
    Report { summary, cards: facts.cards.iter().map(|card| card.address).collect(), checks }
}

/// Other warnings about the host.
fn of_host(prepared: &Prepared) -> Vec<Check> {
    let warnings: Vec<Finding> = passthrough::of_host(prepared.facts.host);
    let told = warnings.iter().filter(|warning| !CHECKED_ELSEWHERE.contains(&warning.code));
    told.map(|warning| Check { why: "hidden devices cannot be passed through".into(), ..Check::of_finding(warning, Group::Iommu, "disks") })
        .collect()
}
