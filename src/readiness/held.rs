//! Processes that have a card open: unbinding its driver while one has it open hangs the kernel.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::Bind;
use crate::model::HostSource;

pub(super) fn check(prepared: &Prepared) -> Option<Check> {
    let facts = &prepared.facts;
    let subject = format!("{}, in use", facts.cards.first()?.address.short());
    let check = |seen: String| Check::ok("device-held", Group::Cards, subject.clone(), seen);
    let Some(holders) = &facts.observed.holders else {
        return Some(check(String::new()).unknown(&format!("{} (/proc)", facts.observed.reach.because())).minor());
    };
    if holders.known.is_empty() {
        let is_only_root = facts.observed.reach == HostSource::Live { root: false };
        let because = if is_only_root { Some("only root sees other users' processes") } else { holders.unknown.as_deref() };
        let unknown = because.map(|because| check(String::new()).unknown(because));
        return Some(unknown.unwrap_or_else(|| check("by no process".into())).minor());
    }
    let named: Vec<String> = holders.known.iter().map(|one| format!("{} (pid {}: {})", one.name, one.pid, one.nodes.join(", "))).collect();
    let pids: Vec<String> = holders.known.iter().map(|one| one.pid.to_string()).collect();
    let check = check(format!("by {}", named.join("; ")));
    let why = "a driver releases a card only when no process has it open; unbinding it before that hangs some kernels";
    Some(match facts.bind {
        Bind::Boot => check.care(why, "bind the card at boot, before any of these programs starts: see below"),
        Bind::Start => {
            check.missing(Step::Software, why, format!("end them before the guest starts (kill {}), or use --bind boot", pids.join(" ")))
        }
    })
}
