//! The machine type of a domain.

use super::devices::devices_named;
use crate::xml::Element;

/// The machine type, as written.
pub fn machine(domain: Element<'_>) -> Option<String> {
    domain.at("os/type")?.attribute("machine").map(std::borrow::Cow::into_owned)
}

/// Whether the machine has PCI Express: q35, or one with a pcie-root.
pub fn is_express(domain: Element<'_>) -> bool {
    machine(domain).is_some_and(|machine| machine.contains("q35") || machine.starts_with("virt"))
        || devices_named(domain, "controller").any(|controller| controller.attribute("model").as_deref() == Some("pcie-root"))
}
