//! The devices of a domain, the aliases that identify them, and the numbers in their attributes.

use crate::model::parse_number;
use crate::xml::Element;

/// All devices.
pub fn devices(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.child("devices").into_iter().flat_map(Element::children)
}

/// The devices with this element name.
pub fn devices_named<'d>(domain: Element<'d>, name: &str) -> impl Iterator<Item = Element<'d>> {
    devices(domain).filter(move |device| device.name() == name)
}

/// The alias of a device.
pub fn alias_of(device: Element<'_>) -> Option<String> {
    device.child("alias")?.attribute("name").map(std::borrow::Cow::into_owned)
}

/// The devices whose alias starts with `prefix`, each with the rest of its alias.
pub fn devices_with_alias<'d>(domain: Element<'d>, prefix: &'d str) -> impl Iterator<Item = (Element<'d>, String)> {
    devices(domain).filter_map(move |device| Some((device, alias_of(device)?.strip_prefix(prefix)?.to_owned())))
}

/// The device with this alias.
pub fn device_with_alias<'d>(domain: Element<'d>, alias: &str) -> Option<Element<'d>> {
    devices(domain).find(|device| alias_of(*device).as_deref() == Some(alias))
}

/// The number in an attribute: decimal, or hexadecimal behind `0x`.
pub fn number(element: Element<'_>, attribute: &str) -> Option<u32> {
    parse_number(&element.attribute(attribute)?)
}
