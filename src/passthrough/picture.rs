//! Where a guest's picture is.

use super::dangers::has_outlets;
use crate::model::{Card, Host, PciAddress};

/// Where the picture of a guest with these functions is; `None` without a card. `handover`: it gets the host's only display.
pub fn picture(host: &Host, functions: &[PciAddress], handover: bool) -> Option<&'static str> {
    let cards = Card::all(host).into_iter().filter(|card| card.functions.iter().any(|function| functions.contains(function)));
    let cards: Vec<PciAddress> = cards.map(|card| card.address).collect();
    if cards.is_empty() {
        None
    } else if !host.devices(&cards).any(has_outlets) {
        Some("nowhere yet: the card has no outputs; use a remote desktop, or Looking Glass with a virtual display in the guest")
    } else if handover {
        Some("on the host's own monitor, which returns to the host when the guest ends")
    } else {
        Some("on a monitor that is plugged into the card")
    }
}
