//! Which cards are meant for a guest, where nobody named them.

use crate::host;
use crate::model::{CardKind, Host, PciAddress, Setup};
use crate::passthrough::{Assessment, Verdict, assess, clear_choice};

/// The cards that were named; else those that are set up to be bound, or are bound; else the one
/// clear choice; else the one that can be spared, or the only one there is; else none.
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
    // Integrated graphics are second best: where there is a card of its own, it is what people mean.
    let discrete = cards.iter().any(|card| card.kind == CardKind::Discrete);
    if let Some(clear) = clear_choice(&cards).filter(|card| card.kind == CardKind::Discrete || !discrete) {
        return vec![clear.clone()];
    }
    // Without IOMMU groups there are no verdicts yet. Where none can go, the only card is what it is about.
    let spare = |card: &Assessment| card.verdict == Verdict::Unknown && card.kind == CardKind::Discrete && card.boot_vga != Some(true);
    let real = |card: &Assessment| if discrete { card.kind == CardKind::Discrete } else { card.kind == CardKind::Integrated };
    let can_go = |card: &Assessment| matches!(card.verdict, Verdict::Ready | Verdict::Available);
    let some_can_go = cards.iter().any(|card| real(card) && can_go(card));
    let choices = [of(&spare), of(&|card| real(card) && !some_can_go)];
    choices.into_iter().find(|choice| choice.len() == 1).unwrap_or_default()
}
