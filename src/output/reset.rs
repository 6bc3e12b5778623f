//! How a card will be reset, for people.

use super::style::{FAINT, STRONG, paint, shown};
use crate::model::{Host, Ladder, PciAddress, PciDevice, ResetWay, Rung};

/// The functions, how they are now, and the rungs of the ladder in the order in which they are tried.
pub fn reset_plan(host: &Host, ladder: &Ladder, now: Option<&str>) -> String {
    let mut text = String::new();
    for function in &ladder.functions {
        let label = host.device(function.address).map(identified).unwrap_or_default();
        let driver = function.driver.as_deref().unwrap_or("no driver");
        text.push_str(&format!("{} {}, {driver}\n", paint(STRONG, function.address.short()), shown(&label)));
    }
    text.push_str(&format!("now: {}\n", shown(now.unwrap_or("it answers"))));
    text.push_str("Tried one after the other, until it answers:\n");
    for (index, rung) in ladder.usable().enumerate() {
        text.push_str(&format!("  {}. {}: {}\n", index + 1, rung.way, hits(ladder, rung)));
    }
    for rung in &ladder.rungs {
        if let Some(because) = &rung.left_out {
            text.push_str(&format!("  {} {}: {}\n", paint(FAINT, "not tried:"), rung.way, shown(because)));
        }
    }
    text
}

/// The name of a function with its ids.
pub fn identified(device: &PciDevice) -> String {
    device.name.as_ref().map_or_else(|| device.label(), |name| format!("{name} [{}]", device.id))
}

fn hits(ladder: &Ladder, rung: &Rung) -> String {
    let is_own = |hit: &&PciAddress| ladder.functions.iter().any(|own| own.address == **hit);
    let others: Vec<PciAddress> = rung.hits.iter().filter(|hit| !is_own(hit)).copied().collect();
    match &rung.way {
        ResetWay::Suspend => "hits the whole host, which sleeps meanwhile".to_owned(),
        _ if others.is_empty() => format!("hits {}", PciAddress::list(&rung.hits)),
        _ => {
            let own: Vec<PciAddress> = rung.hits.iter().filter(is_own).copied().collect();
            format!("hits {}, and beside the card {}", PciAddress::list(&own), PciAddress::list(&others))
        }
    }
}
