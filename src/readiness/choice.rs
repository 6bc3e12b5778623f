//! Which cards are selected for a guest if none are named.

use crate::host;
use crate::model::{Host, PciAddress, Setup};
use crate::passthrough::{Assessment, Choice, Verdict, assess, choose};

/// The cards that were named; else those that are set up to be bound, or are bound; else the one
/// that is chosen ([`choose`]), or, if none can be passed through, the only candidate; else none.
pub fn meant(host: &Host, setup: &Setup, named: &[PciAddress]) -> Vec<Assessment> {
    let cards = assess(host);
    let of = |wanted: &dyn Fn(&Assessment) -> bool| cards.iter().filter(|card| wanted(card)).cloned().collect::<Vec<_>>();
    if !named.is_empty() {
        return of(&|card| named.iter().any(|address| card.functions.contains(address)));
    }
    let bound: Vec<PciAddress> = host::bound(setup)
        .iter()
        .filter(|bound| host.device(bound.address).is_some_and(|device| bound.is_still(device)))
        .map(|bound| bound.address)
        .collect();
    let set_up = of(&|card| card.verdict == Verdict::Ready || card.functions.iter().any(|function| bound.contains(function)));
    if !set_up.is_empty() {
        return set_up;
    }
    match choose(&cards) {
        Choice::Chosen(card, _) => vec![card.clone()],
        Choice::None(about, _) if about.len() == 1 => about.into_iter().cloned().collect(),
        Choice::Ambiguous(..) | Choice::None(..) => Vec::new(),
    }
}
