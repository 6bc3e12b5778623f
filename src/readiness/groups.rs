//! The IOMMU groups, compared with what `vgapt prepare` and `vgapt define` recorded.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host;
use crate::model::{HostSource, Observed, PciAddress, Severity};
use crate::passthrough::group_changes;

const WHY: &str = "a kernel or a firmware may form other groups than the one before it, and no function of a group can be given to a guest while the host uses another one";

pub(super) fn changed(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for recorded in &facts.observed.recorded_groups {
        let bound = host::bound(facts.setup).into_iter().map(|bound| bound.address);
        let functions: Vec<PciAddress> = recorded.functions.iter().chain(&facts.functions).copied().chain(bound).collect();
        for change in group_changes(&recorded.groups, facts.host, &functions) {
            let finding = change.finding();
            let subject = change.functions().first().map(|function| function.short()).unwrap_or_default();
            let is_meant = change.functions().iter().any(|function| facts.functions.contains(function));
            let check = Check::of_finding(&finding, Topic::Cards, &subject, WHY);
            let check = match finding.severity {
                Severity::Warning => check.minor(),
                _ if is_meant => check.missing(NextStep::Firmware, WHY, finding.remedy),
                _ => check,
            };
            // prepare and define may have recorded the same.
            if checks.iter().all(|other| other.seen != check.seen) {
                checks.push(check);
            }
        }
    }
    checks.extend(unknown(facts));
    checks
}

fn unknown(facts: &Facts) -> Option<Check> {
    let Observed { recorded_groups_unknown: unknown, reach, .. } = facts.observed;
    let check = || Check::ok("group-changed", Topic::Cards, "recorded IOMMU groups", "");
    let check = (!unknown.is_empty()).then(|| check().unknown(&unknown.join("; ")))?;
    // An ordinary user may not read the domains and the receipts.
    Some(if *reach == (HostSource::Live { root: false }) { check.minor() } else { check })
}
