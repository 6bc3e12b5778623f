//! Devices that are fully identified by their alias: those no longer requested are removed, missing ones are
//! added, and present ones stay unchanged, including manual edits.

use super::devices::{add, retain};
use crate::domain::spec::Owned;
use crate::domain_xml::{Interface, device_with_alias, devices_with_alias};
use crate::xml::{Document, Element, Fragment};

/// Sets the devices of this kind to exactly these.
pub(super) fn set(domain: &mut Document, owned: &Owned) {
    let wanted = owned.names();
    let mac = mac_of(domain.root(), owned.prefix);
    retain(domain, owned.prefix, |_, rest| wanted.contains(&format!("{}{rest}", owned.prefix)));
    for (device, name) in owned.devices.iter().zip(&wanted) {
        if device_with_alias(domain.root(), name).is_none() {
            let mac = mac.clone().filter(|_| device.name() == "interface").map(|mac| Fragment::new("mac").with("address", mac));
            add(domain, &device.clone().child_if(mac));
        }
    }
}

/// The MAC address; with another one, the guest system would see a new network card.
fn mac_of(domain: Element<'_>, prefix: &str) -> Option<String> {
    let (device, _) = devices_with_alias(domain, prefix).next()?;
    Interface::of(device).mac
}
