//! Devices whose alias says all that vgapt has to know of them: what is no longer wanted goes, what
//! is missing comes, and what is there stays as it is, whatever somebody changed in it.

use super::devices::{add, retain};
use crate::domain::spec::Owned;
use crate::domain_xml::{Interface, device_with_alias, devices_with_alias};
use crate::xml::{Document, Element, Fragment};

/// Makes them exactly these.
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

/// The address by which the guest's system knows its network card: another one would be a new card to it.
fn mac_of(domain: Element<'_>, prefix: &str) -> Option<String> {
    let (device, _) = devices_with_alias(domain, prefix).next()?;
    Interface::of(device).mac
}
