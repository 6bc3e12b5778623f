//! Who has a card open: taking it from a process hangs the kernel.

use super::check::{Check, Group, Step};
use super::facts::Prepared;
use crate::host::Bind;

pub(super) fn check(prepared: &Prepared) -> Option<Check> {
    let facts = &prepared.facts;
    let subject = format!("{}, held open", facts.cards.first()?.address.short());
    let check = |seen: String| Check::ok("device-held", Group::Cards, subject.clone(), seen);
    let Some(holders) = &facts.observed.holders else {
        return Some(check(String::new()).unknown(&format!("{} (/proc)", facts.observed.reach.because())).minor());
    };
    if let Some(because) = holders.unknown.as_ref().filter(|_| holders.known.is_empty()) {
        let only_root = facts.observed.reach == crate::model::Reach::Live { root: false };
        return Some(check(String::new()).unknown(if only_root { "only root sees other users' processes" } else { because }).minor());
    }
    if holders.known.is_empty() {
        return Some(match facts.observed.reach {
            crate::model::Reach::Live { root: false } => check(String::new()).unknown("only root sees other users' processes").minor(),
            _ => check("by no process".into()).minor(),
        });
    }
    let named: Vec<String> = holders.known.iter().map(|one| format!("{} (pid {}: {})", one.name, one.pid, one.nodes.join(", "))).collect();
    let pids: Vec<String> = holders.known.iter().map(|one| one.pid.to_string()).collect();
    let check = check(format!("by {}", named.join("; ")));
    let why = "a driver lets go of a card only when no process has it open; some kernels hang over it";
    Some(match facts.bind {
        Bind::Boot => check.care(why, "bind the card at boot, before any of them starts: see below"),
        Bind::Start => {
            check.missing(Step::Software, why, format!("end them before the guest starts (kill {}), or use --bind boot", pids.join(" ")))
        }
    })
}
