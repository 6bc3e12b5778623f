//! Bindings and configuration that vgapt does not manage, reported as prepare finds them.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::Bind;
use crate::model::{Finding, Severity};

/// The findings of prepare that are reported here.
pub(super) const REPORTED_HERE: [&str; 14] = [
    "also-bound",
    "bound-by-other",
    "display-kept-out",
    "generated",
    "install-line",
    "modprobe-unread",
    "no-display",
    "no-ids",
    "not-read",
    "removed-by-other",
    "softdep",
    UNREAD,
    "vfio-blacklisted",
    "virtual-function",
];
/// Reported with the configuration.
const UNREAD: &str = "unread";
const WHY: &str = "vgapt neither verifies nor reverts what another tool's files do at boot";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let told = prepared.plan.findings.iter().filter(|finding| REPORTED_HERE.contains(&finding.code) && finding.code != UNREAD);
    told.map(|finding| one(prepared, finding)).collect()
}

fn one(prepared: &Prepared, finding: &Finding) -> Check {
    let check = Check::ok(finding.code, Group::Binding, subject(prepared, finding), finding.message.clone());
    let why = match finding.code {
        "generated" => "files written outside a system's own configuration are lost with its next version",
        "no-display" | "display-kept-out" => "if the host does not boot as far as the network, nobody can see why",
        "virtual-function" => "only a device that exists at boot can be bound at boot",
        "not-read" => "it was written for a purpose, and has no effect",
        "removed-by-other" => "neither the host nor a guest can use a device that is removed from the bus",
        "no-ids" => "it binds nothing to vfio-pci, which was probably not intended",
        "vfio-blacklisted" => "the kernel command line overrides the files of modprobe",
        "install-line" | "softdep" => "of several lines for a module kmod uses only the first, in the order of file names",
        _ => WHY,
    };
    // If it is in effect already and nothing is left to prepare, the user has decided it.
    let is_decided = match finding.code {
        "no-display" => !prepared.writes(),
        // With `--bind start`, the host uses the card until the domain starts, so it needs a working display driver.
        "display-kept-out" => !prepared.writes() && prepared.bind() == Bind::Boot,
        _ => false,
    };
    if is_decided {
        return check.care(why, finding.remedy_alone());
    }
    if finding.severity == Severity::Warning {
        return check.care(why, finding.remedy.clone());
    }
    check.missing(Step::Prepare, why, finding.remedy_by(&prepared.command()))
}

fn subject(prepared: &Prepared, finding: &Finding) -> String {
    match finding.code {
        "no-display" | "display-kept-out" => "the host's display".to_owned(),
        "generated" => "configuration".to_owned(),
        "also-bound" | "no-ids" | "not-read" | "modprobe-unread" | "vfio-blacklisted" => "files of other tools".to_owned(),
        _ => prepared.facts.cards.first().map_or_else(|| "files of other tools".to_owned(), |card| card.address.short()),
    }
}
