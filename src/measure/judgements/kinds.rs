//! The kinds of the host's cores, which the guest cannot see.

use super::seen::Seen;
use crate::measure::measured::{CoreTimes, Judgement};
use crate::model::CpuSet;
use crate::topology::{Core, Pinning};

/// How much it weighs at least that slower cores are used.
const SLOWER: f64 = 1.0;

/// Only where the host has both kinds.
pub(super) fn kinds(seen: &Seen<'_>) -> Option<Judgement> {
    let cores = &seen.subject.cores;
    let fastest = cores.iter().filter(|core| !core.is_efficient).map(|core| core.max_khz).max()?;
    if !seen.is_pinned() || !cores.iter().any(|core| core.is_slower(fastest)) {
        return None;
    }
    let used = cores.iter().filter(|core| core.is_among(seen.cpus));
    let (slow, fast): (Vec<&Core>, Vec<&Core>) = used.partition(|core| core.is_slower(fastest));
    let judgement = |text: String| Judgement::good("kinds", "kinds of cores", text);
    let (slower, faster) = if cores.iter().any(|core| core.is_efficient) {
        ("efficiency cores".to_owned(), "performance cores")
    } else {
        let highest = slow.iter().map(|core| core.max_khz).max().unwrap_or_default();
        (format!("slower cores, of at most {} instead of {} GHz", gigahertz(highest), gigahertz(fastest)), "fast cores")
    };
    if slow.is_empty() {
        return Some(judgement(format!("all virtual CPUs are on {faster}")));
    }
    let cpus = CpuSet(slow.iter().flat_map(|core| &core.cpus).filter(|cpu| seen.cpus.0.contains(cpu)).copied().collect());
    let text = if fast.is_empty() {
        format!("all virtual CPUs are on {slower} (the host CPUs {cpus})")
    } else {
        format!("the host CPUs {cpus} are {slower}, and the guest takes all its virtual CPUs for equally fast")
    };
    // By their clocks: they do less in each cycle too.
    #[expect(clippy::cast_precision_loss, reason = "kHz")]
    let lost = |times: &CoreTimes| {
        let core = slow.iter().find(|core| core.cpus.contains(&times.cpu) && core.max_khz > 0)?;
        Some((1.0 - core.max_khz as f64 / fastest.max(1) as f64) * (100.0 - times.idle))
    };
    let judged = judgement(text).costs(seen.cores.iter().filter_map(lost).fold(SLOWER, f64::max));
    let is_fast = |cpu: &u32| cores.iter().any(|core| core.cpus.contains(cpu) && !core.is_slower(fastest));
    Some(match &seen.subject.pinnable {
        Ok(Pinning { instead_of: None, vcpus, .. }) if vcpus.iter().all(is_fast) => judged.by_command(seen.pin()),
        Ok(Pinning { instead_of: Some(room @ 1..), .. }) => {
            judged.by(format!("the {faster} have room for {room} virtual CPUs: vgapt define {} --cpus {room} --pin", seen.name()))
        }
        // The pinning takes one cache of slower cores before two caches with cores of both kinds.
        Ok(Pinning { instead_of: None, .. }) => judged.by(format!("fewer virtual CPUs (--cpus) have room on the {faster}")),
        _ => judged,
    })
}

fn gigahertz(khz: u64) -> String {
    format!("{}.{}", khz / 1_000_000, khz / 100_000 % 10)
}
