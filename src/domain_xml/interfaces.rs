//! The network cards of a domain.

use super::devices::devices_named;
use crate::xml::Element;

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What its other end is: `user`, `network`, `bridge`, `hostdev`, …
    pub kind: String,
    /// The host's bridge that it is on.
    pub bridge: Option<String>,
    /// The address by which the guest's system knows it.
    pub mac: Option<String>,
}

impl Interface {
    /// What an `<interface>` says.
    pub fn of(interface: Element<'_>) -> Self {
        let below = |child: &str, name: &str| interface.child(child)?.attribute(name).map(std::borrow::Cow::into_owned);
        let kind = interface.attribute("type").map(std::borrow::Cow::into_owned).unwrap_or_default();
        Self { kind, bridge: below("source", "bridge"), mac: below("mac", "address") }
    }
}

/// All of them.
pub fn interfaces(domain: Element<'_>) -> impl Iterator<Item = Interface> {
    devices_named(domain, "interface").map(Interface::of)
}
