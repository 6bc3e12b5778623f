//! Which virtual CPUs share an L3 cache, on the host and as the guest sees it.

use std::collections::BTreeSet;

use super::seen::Seen;
use crate::measure::measured::Judgement;
use crate::model::CpuSet;
use crate::topology::Pinning;

/// How much it weighs that virtual CPUs are on several L3 caches without knowing it; an estimate: what two of them share
/// goes from one cache to the other.
const APART: f64 = 3.0;
/// How much it weighs that the guest takes one L3 cache for several; an estimate.
const SPLIT: f64 = 1.0;

/// Only where the host has several, and its kernel names them.
pub(super) fn caches(seen: &Seen<'_>) -> Option<Judgement> {
    let cores = &seen.subject.cores;
    let all: BTreeSet<usize> = cores.iter().map(|core| core.l3).collect();
    // Where the kernel names no cache, which cores share one is a guess.
    if all.len() < 2 || cores.iter().any(|core| core.is_among(seen.cpus) && core.l3_kib == 0) {
        return None;
    }
    let pins = seen.subject.pins.as_ref().ok().filter(|pins| !pins.is_empty())?;
    let of_pin = |pin: &CpuSet| -> BTreeSet<usize> { cores.iter().filter(|core| core.is_among(pin)).map(|core| core.l3).collect() };
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
    // The guest knows them where each of its caches is one of the host's, and no two are the same one.
    let pairs: BTreeSet<(u32, BTreeSet<usize>)> = pins.iter().map(|(vcpu, pin)| (vcpu / of_a_cache, of_pin(pin))).collect();
    let of_guest = pairs.iter().map(|(cache, _)| cache).collect::<BTreeSet<_>>().len();
    let is_known = !(seen.subject.hides_cores && used.len() > 1)
        && pairs.iter().all(|(_, caches)| caches.len() == 1)
        && pairs.len() == of_guest
        && of_guest == used.len();
    if is_known {
        return Some(judgement(if used.len() == 1 { text } else { format!("{text}, and the guest knows which share one") }));
    }
    if used.len() == 1 {
        return Some(judgement(format!("{text}, which the guest takes for {of_guest}")).costs(SPLIT).by_command(seen.pin()));
    }
    let judged = judgement(format!("{text}, and the guest does not know which share one")).costs(APART);
    let is_better =
        |pinning: &Pinning| pinning.caches < used.len() || u32::try_from(pinning.caches) == Ok(pinning.guest.sockets * pinning.guest.dies);
    Some(match &seen.subject.pinnable {
        Ok(pinning) if is_better(pinning) => judged.by_command(seen.pin()),
        _ => judged.by("use --cpus with a number that fits into one L3 cache, or fills the same number of cores of each"),
    })
}
