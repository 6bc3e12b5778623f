//! The kinds of the host's cores, which the guest cannot see.

use super::seen::Seen;
use crate::measure::measured::{CoreTimes, Judgement};
use crate::model::CpuSet;
use crate::topology::{Core, Pinning};

/// How much it weighs at least that efficiency cores are used.
const SLOWER: f64 = 1.0;

/// Only where the host has both kinds.
pub(super) fn kinds(seen: &Seen<'_>) -> Option<Judgement> {
    let cores = &seen.subject.cores;
    let fastest = cores.iter().filter(|core| !core.is_efficient).map(|core| core.max_khz).max()?;
    if !seen.is_pinned() || !cores.iter().any(|core| core.is_efficient) {
        return None;
    }
    let (small, large): (Vec<&Core>, Vec<&Core>) = cores.iter().filter(|core| core.is_among(seen.cpus)).partition(|core| core.is_efficient);
    let judgement = |text: String| Judgement::good("kinds", "kinds of cores", text);
    if small.is_empty() {
        return Some(judgement("all virtual CPUs are on performance cores".to_owned()));
    }
    let cpus = CpuSet(small.iter().flat_map(|core| &core.cpus).filter(|cpu| seen.cpus.0.contains(cpu)).copied().collect());
    let text = if large.is_empty() {
        format!("all virtual CPUs are on efficiency cores (the host CPUs {cpus})")
    } else {
        format!("the host CPUs {cpus} are efficiency cores, and the guest takes all its virtual CPUs for equally fast")
    };
    // By their clocks: they do less in each cycle too.
    #[expect(clippy::cast_precision_loss, reason = "kHz")]
    let lost = |times: &CoreTimes| {
        let core = small.iter().find(|core| core.cpus.contains(&times.cpu) && core.max_khz > 0)?;
        Some((1.0 - core.max_khz as f64 / fastest.max(1) as f64) * (100.0 - times.idle))
    };
    let judged = judgement(text).costs(seen.cores.iter().filter_map(lost).fold(SLOWER, f64::max));
    Some(match &seen.subject.pinnable {
        Ok(Pinning { instead_of: None, .. }) => judged.by_command(seen.pin()),
        Ok(Pinning { instead_of: Some(room @ 1..), .. }) => {
            judged.by(format!("the performance cores have room for {room} virtual CPUs: vgapt define {} --cpus {room} --pin", seen.name()))
        }
        _ => judged,
    })
}
