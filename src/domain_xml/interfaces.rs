//! The network cards of a domain.

use super::devices::devices_named;
use crate::xml::Element;

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its type: `user`, `network`, `bridge`, `hostdev`, …
    pub kind: String,
    /// The host bridge to which it is connected.
    pub bridge: Option<String>,
    /// Its MAC address.
    pub mac: Option<String>,
}

impl Interface {
    /// Reads an `<interface>` element.
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
