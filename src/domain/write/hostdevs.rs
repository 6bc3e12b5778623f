//! Host devices in a domain: PCI functions, each card on its own slot, and USB devices by their ids.

use std::collections::BTreeSet;

use super::devices::{add, insert_behind, retain};
use super::multifunction;
use crate::domain::alias;
use crate::domain::spec::Slot;
use crate::domain_xml::{
    device_with_alias, devices_named, functions_of_commandline, hostdev_of, is_express, next_bus, number, on_slot, passes_usb, place,
    taken_slots,
};
use crate::model::{PciAddress, UsbId};
use crate::xml::{Document, Element, Fragment};

/// On the root bus of a machine without PCI Express, slots up to this one are used last, because libvirt and QEMU
/// place their own devices from the first slot on.
const LAST_CONVENTIONAL_SLOT: u32 = 0x0f;
/// The number of functions of a PCI slot.
const FUNCTIONS: u32 = 8;
/// The highest bus number of a PCI domain.
const LAST_BUS: u32 = 0xff;

/// Sets vgapt's PCI hostdevs of one kind (`prefix` of their aliases) to exactly these.
pub(super) fn set_slots(domain: &mut Document, prefix: &str, slots: &[Slot]) {
    let wanted: Vec<String> = slots.iter().flat_map(|slot| &slot.functions).map(|function| alias::pci(prefix, *function)).collect();
    retain(domain, prefix, |_, rest| wanted.contains(&format!("{prefix}{rest}")));
    remove_empty_ports(domain);
    for slot in slots {
        set_slot(domain, prefix, slot);
    }
}

/// The slots for which the guest has no free place; their functions are not added.
pub(crate) fn without_place(domain: &Document, slots: &[(&str, &[Slot])]) -> Vec<Slot> {
    let mut trial = domain.clone();
    let mut left = Vec::new();
    for (prefix, slots) in slots {
        for slot in *slots {
            set_slot(&mut trial, prefix, slot);
            if !missing(&trial, slot).is_empty() {
                left.push(slot.clone());
            }
        }
    }
    left
}

/// The functions that the domain does not pass yet, neither as a libvirt device nor in `<qemu:commandline>`.
fn missing(domain: &Document, slot: &Slot) -> Vec<PciAddress> {
    let given = functions_of_commandline(domain);
    slot.functions.iter().copied().filter(|function| hostdev_of(domain.root(), *function).is_none() && !given.contains(function)).collect()
}

/// Adds the missing functions of a slot.
fn set_slot(domain: &mut Document, prefix: &str, slot: &Slot) {
    let missing = missing(domain, slot);
    if missing.is_empty() {
        return;
    }
    // Functions that are present stay in their place, and the others are added to the same slot. A guest probes further
    // functions of a slot only if the first is marked as multifunction.
    let present = slot.functions.iter().find_map(|function| place(hostdev_of(domain.root(), *function)?.child("address")?));
    let place = present.filter(|place| free_functions(domain.root(), *place).len() >= missing.len());
    let Some((bus, device)) = place.or_else(|| new_place(domain, slot)) else { return };
    let mut free = free_functions(domain.root(), (bus, device));
    let numbers: Vec<u32> = missing
        .iter()
        .map(|function| {
            let usual = slot.functions.iter().position(|other| other == function).and_then(|position| u32::try_from(position).ok());
            let number = usual.filter(|usual| place.is_some() && free.contains(usual)).or(free.first().copied()).unwrap_or_default();
            free.retain(|other| *other != number);
            number
        })
        .collect();
    let several = missing.len() > 1 || place.is_some();
    for (function, number) in missing.iter().zip(numbers) {
        let guest = GuestAddress { bus, slot: device, function: number, multifunction: number == 0 && several };
        add(domain, &pci(*function, &alias::pci(prefix, *function), &guest));
    }
    if several {
        multifunction::set(domain, (bus, device));
    }
}

/// A free place for a slot: on a new root port, or on a conventional PCI bus.
fn new_place(domain: &mut Document, slot: &Slot) -> Option<(u32, u32)> {
    if !is_express(domain.root()) {
        return conventional_place(domain.root());
    }
    let bus = next_bus(domain.root());
    if bus > LAST_BUS {
        return None;
    }
    if let Some(first) = slot.functions.first() {
        let port = Fragment::new("controller").with("type", "pci").with("index", bus).with("model", "pcie-root-port");
        add(domain, &port.child(alias::element(&alias::pci(alias::PORT, *first))));
    }
    Some((bus, 0))
}

/// A free slot of the root bus, else of an existing bridge. The first three slots of the root bus belong to the
/// chipset and the display.
fn conventional_place(domain: Element<'_>) -> Option<(u32, u32)> {
    let taken = taken_slots(domain);
    let bridges = devices_named(domain, "controller").filter(|controller| controller.attribute("model").as_deref() == Some("pci-bridge"));
    let on_root = (LAST_CONVENTIONAL_SLOT + 1..0x20).chain((3..=LAST_CONVENTIONAL_SLOT).rev()).map(|slot| (0, slot));
    // Slot 0 behind a bridge is used by its hot-plug controller.
    let on_bridges = bridges.filter_map(|bridge| number(bridge, "index")).flat_map(|bus| (1..0x20).map(move |slot| (bus, slot)));
    on_root.chain(on_bridges).find(|place| !taken.contains(place))
}

/// The free function numbers of a guest slot.
fn free_functions(domain: Element<'_>, place: (u32, u32)) -> Vec<u32> {
    let taken: BTreeSet<u32> = on_slot(domain, place).filter_map(|address| number(address, "function")).collect();
    (0..FUNCTIONS).filter(|function| !taken.contains(function)).collect()
}

/// Removes vgapt's root ports that no device uses any more.
fn remove_empty_ports(domain: &mut Document) {
    let taken = taken_slots(domain.root());
    retain(domain, alias::PORT, |port, _| number(port, "index").is_some_and(|bus| taken.iter().any(|(taken, _)| *taken == bus)));
}

/// The address of a function in the guest.
struct GuestAddress {
    bus: u32,
    slot: u32,
    function: u32,
    multifunction: bool,
}

fn pci(function: PciAddress, name: &str, guest: &GuestAddress) -> Fragment {
    let mut address = Fragment::new("address")
        .with("type", "pci")
        .with("domain", "0x0000")
        .with("bus", format_args!("0x{:02x}", guest.bus))
        .with("slot", format_args!("0x{:02x}", guest.slot))
        .with("function", format_args!("0x{:x}", guest.function));
    if guest.multifunction {
        address = address.with("multifunction", "on");
    }
    pci_hostdev(function).child(alias::element(name)).child(address)
}

/// A hostdev for a host function, without a guest address.
pub fn pci_hostdev(function: PciAddress) -> Fragment {
    let host = Fragment::new("address")
        .with("domain", format_args!("0x{:04x}", function.domain))
        .with("bus", format_args!("0x{:02x}", function.bus))
        .with("slot", format_args!("0x{:02x}", function.device))
        .with("function", format_args!("0x{:x}", function.function));
    Fragment::new("hostdev")
        .with("mode", "subsystem")
        .with("type", "pci")
        .with("managed", "yes")
        // libvirt's default; stated explicitly, because libvirt on a host without VFIO would not generate QEMU's options otherwise.
        .child(Fragment::new("driver").with("name", "vfio"))
        .child(Fragment::new("source").child(host))
}

/// Sets or removes the firmware file of a card's function.
pub(super) fn set_rom(domain: &mut Document, function: PciAddress, file: Option<&str>) {
    let Some(hostdev) = device_with_alias(domain.root(), &alias::pci(alias::GPU, function)).map(Element::id) else { return };
    match (domain.element(hostdev).child("rom").map(Element::id), file) {
        (Some(rom), Some(file)) => domain.set_attribute(rom, "file", file),
        (Some(rom), None) => domain.remove(rom),
        (None, Some(file)) => {
            insert_behind(domain, hostdev, &Fragment::new("rom").with("file", file), &["driver", "source", "alias"]);
        }
        (None, None) => {}
    }
}

/// Sets vgapt's USB hostdevs to exactly these.
pub(super) fn set_usb(domain: &mut Document, ids: &[UsbId]) {
    let wanted: Vec<String> = ids.iter().map(|id| alias::usb(*id)).collect();
    retain(domain, alias::USB, |_, rest| wanted.contains(&format!("{}{rest}", alias::USB)));
    for (id, name) in ids.iter().zip(&wanted) {
        if device_with_alias(domain.root(), name).is_none() && !passes_usb(domain.root(), *id) {
            let source = Fragment::new("source")
                .child(Fragment::new("vendor").with("id", format_args!("0x{:04x}", id.vendor)))
                .child(Fragment::new("product").with("id", format_args!("0x{:04x}", id.product)));
            let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes");
            add(domain, &hostdev.child(source).child(alias::element(name)));
        }
    }
}
