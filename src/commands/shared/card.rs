//! Finds a graphics card by the address of one of its functions, and the message if there is none.

use super::refused::Refused;
use crate::discovery;
use crate::host;
use crate::model::{Card, Finding, Host, PciAddress};
use crate::output;
use crate::passthrough;
use crate::root::Root;

/// The card with this function.
///
/// # Errors
/// If there is no device at that address, or if it is not a graphics card.
pub(in crate::commands) fn named(root: Option<&Root>, host: &Host, address: PciAddress) -> Result<Card, Refused> {
    Card::with(host, address).ok_or_else(|| none_at(root, host, address))
}

/// Why there is no card at an address.
pub(in crate::commands) fn none_at(root: Option<&Root>, host: &Host, address: PciAddress) -> Refused {
    let at = address.short();
    if host.device(address).is_some() {
        let cards = output::addresses(passthrough::assess(host).iter());
        return Refused::from(Finding::error(
            "no-graphics-card",
            format!("{at} is not a function of a graphics card"),
            format!("the cards here are {cards}; to pass another device through, use --pci"),
        ));
    }
    // A udev rule may have removed it from the bus at boot.
    let rules = root.map(|root| host::removing(host, &discovery::setup(root, host))).unwrap_or_default();
    let rules: Vec<String> = rules.into_iter().map(|rule| rule.place).collect();
    let remedy = match rules[..] {
        [] => "see all functions: vgapt list --all".to_owned(),
        _ => format!(
            "udev rules remove PCI functions from the bus at each boot; if one of them matches it, remove that rule and reboot: {}",
            rules.join(", ")
        ),
    };
    Refused::from(Finding::error("no-such-device", format!("there is no PCI function at {at}"), remedy))
}
