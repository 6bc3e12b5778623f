//! What others have set up, and what decides instead of vgapt: told as prepare finds it.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::Bind;
use crate::model::{Finding, Severity};

/// The findings of prepare that are told here.
pub(super) const TOLD: [&str; 14] = [
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
/// Told with the configuration.
const UNREAD: &str = "unread";
const WHY: &str = "what another's file does at boot, vgapt neither proves nor takes back";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let told = prepared.plan.findings.iter().filter(|finding| TOLD.contains(&finding.code) && finding.code != UNREAD);
    told.map(|finding| one(prepared, finding)).collect()
}

fn one(prepared: &Prepared, finding: &Finding) -> Check {
    let check = Check::ok(finding.code, Group::Binding, subject(prepared, finding), finding.message.clone());
    let why = match finding.code {
        "generated" => "what is written beside a system's own configuration is lost with its next version",
        "no-display" | "display-kept-out" => "nobody sees what the host shows, should it not boot as far as the network",
        "virtual-function" => "only what exists at boot can be bound there",
        "not-read" => "whoever wrote it meant something, and it does nothing",
        "removed-by-other" => "what is taken off the bus is there for nobody",
        "no-ids" => "vfio-pci takes nothing by it, and whoever wrote it meant something",
        "vfio-blacklisted" => "the kernel does as its command line says, whatever is set up in files of modprobe",
        "install-line" | "softdep" => "kmod follows the first of several lines for a module, in the order of the files' names",
        _ => WHY,
    };
    // What has come to pass already, and asks for nothing more to be done, somebody has decided.
    let is_decided = match finding.code {
        "no-display" => !prepared.writes(),
        // A card that is left with the host until the domain starts has to show something until then.
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
        "also-bound" | "no-ids" | "not-read" | "modprobe-unread" | "vfio-blacklisted" => "others' files".to_owned(),
        _ => prepared.facts.cards.first().map_or_else(|| "others' files".to_owned(), |card| card.address.short()),
    }
}
