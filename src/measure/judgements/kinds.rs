//! What the guest cannot see of the host's cores: that some are slower, and which share a cache.

use std::collections::BTreeSet;

use super::seen::Seen;
use crate::measure::measured::{CoreTimes, Judgement};
use crate::model::CpuSet;
use crate::topology::{Core, Pinning};

/// How much it weighs at least that efficiency cores are used.
const SLOWER: f64 = 1.0;
/// How much it weighs that virtual CPUs are on several L3 caches without knowing it; an estimate: what two of them share
/// goes from one cache to the other.
const APART: f64 = 3.0;

/// How much it weighs that the guest takes one L3 cache for several; an estimate.
const UNKNOWN: f64 = 1.0;

/// The cores that virtual CPUs are pinned to.
fn used<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = &'a Core> {
    seen.subject.cores.iter().filter(|core| seen.is_pinned() && core.cpus.iter().any(|cpu| seen.cpus.0.contains(cpu)))
}

/// Only where the host has both kinds.
pub(super) fn kinds(seen: &Seen<'_>) -> Option<Judgement> {
    let fastest = seen.subject.cores.iter().filter(|core| !core.is_efficient).map(|core| core.max_khz).max()?;
    let (small, large): (Vec<&Core>, Vec<&Core>) = used(seen).partition(|core| core.is_efficient);
    let judgement = |text: String| Judgement::good("kinds", "kinds of cores", text);
    if small.is_empty() {
        let has_both = seen.subject.cores.iter().any(|core| core.is_efficient);
        return has_both.then(|| judgement("all virtual CPUs are on performance cores".to_owned())).filter(|_| !large.is_empty());
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

/// Which virtual CPUs share an L3 cache, on the host and as the guest sees it; only where the host has several, and says so.
pub(super) fn caches(seen: &Seen<'_>) -> Option<Judgement> {
    let cores = &seen.subject.cores;
    let all: BTreeSet<usize> = cores.iter().map(|core| core.l3).collect();
    // Where the kernel names no cache, which cores share one is a guess.
    if all.len() < 2 || used(seen).any(|core| core.l3_kib == 0) {
        return None;
    }
    let pins = seen.subject.pins.as_ref().ok().filter(|pins| !pins.is_empty())?;
    let of_pin = |pin: &CpuSet| -> BTreeSet<usize> {
        cores.iter().filter(|core| core.cpus.iter().any(|cpu| pin.0.contains(cpu))).map(|core| core.l3).collect()
    };
    let used: BTreeSet<usize> = pins.values().flat_map(of_pin).collect();
    let judgement = |text: String| Judgement::good("caches", "L3 caches", text);
    let text = match used.len() {
        0 => return None,
        1 => "all virtual CPUs share one L3 cache".to_owned(),
        many => format!("the virtual CPUs are on {many} L3 caches of the host"),
    };
    let Some(of_a_cache) = seen.subject.of_a_cache else {
        let because = format!("{text}, and what the guest sees is not QEMU's own (<cache mode> of the domain)");
        return Some(if used.len() == 1 { judgement(text) } else { Judgement::unknown("caches", "L3 caches", &because) });
    };
    // For the guest, each of its caches is one of the host's, and no other one is the same.
    let pairs: BTreeSet<(u32, BTreeSet<usize>)> = pins.iter().map(|(vcpu, pin)| (vcpu / of_a_cache, of_pin(pin))).collect();
    let of_guest = pairs.iter().map(|(cache, _)| cache).collect::<BTreeSet<_>>().len();
    let is_known = pairs.iter().all(|(_, caches)| caches.len() == 1) && pairs.len() == of_guest && of_guest == used.len();
    if is_known {
        return Some(judgement(if used.len() == 1 { text } else { format!("{text}, and the guest knows which share one") }));
    }
    if used.len() == 1 {
        return Some(judgement(format!("{text}, which the guest takes for {of_guest}")).costs(UNKNOWN).by_command(seen.pin()));
    }
    let judged = judgement(format!("{text}, and the guest does not know which share one")).costs(APART);
    let is_better =
        |pinning: &Pinning| pinning.caches < used.len() || u32::try_from(pinning.caches) == Ok(pinning.guest.sockets * pinning.guest.dies);
    Some(match &seen.subject.pinnable {
        Ok(pinning) if is_better(pinning) => judged.by_command(seen.pin()),
        _ => judged.by("use --cpus with a number that fits into one L3 cache, or fills the same number of cores of each"),
    })
}
