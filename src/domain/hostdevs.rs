//! The host's devices in a domain: PCI functions on slots of their own, USB devices by their ids.

use super::alias;
use super::devices::{add, next_bus, number, taken_slots};
use super::spec::Slot;
use crate::model::{PciAddress, UsbId};
use crate::xml::{Document, Element, Fragment};

/// Slots on the root bus of a machine without PCI Express that are left to what libvirt places itself.
const FIRST_CONVENTIONAL_SLOT: u32 = 0x10;

/// Makes vgapt's PCI hostdevs of a kind (`prefix` of their aliases) exactly these.
pub(super) fn set_slots(domain: &mut Document, prefix: &str, slots: &[Slot]) {
    let wanted: Vec<String> = slots.iter().flat_map(|slot| &slot.functions).map(|function| alias::pci(prefix, *function)).collect();
    alias::retain(domain, prefix, |_, rest| wanted.contains(&format!("{prefix}{rest}")));
    remove_empty_ports(domain);
    for slot in slots {
        set_slot(domain, prefix, slot);
    }
}

/// Puts in what is missing of a slot.
fn set_slot(domain: &mut Document, prefix: &str, slot: &Slot) {
    let own: Vec<PciAddress> =
        slot.functions.iter().copied().filter(|function| alias::find(domain.root(), &alias::pci(prefix, *function)).is_some()).collect();
    // What somebody passed by hand stays where it is.
    let missing: Vec<PciAddress> =
        slot.functions.iter().copied().filter(|function| hostdev_of(domain.root(), *function).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let place = own.first().and_then(|function| guest_slot(domain.root(), &alias::pci(prefix, *function)));
    let (bus, device) = place.unwrap_or_else(|| new_place(domain, slot));
    for function in &missing {
        let position = slot.functions.iter().position(|other| other == function).unwrap_or(0);
        let guest = GuestAddress { bus, slot: device, function: position, multifunction: position == 0 && slot.functions.len() > 1 };
        add(domain, &pci(*function, &alias::pci(prefix, *function), &guest));
    }
}

/// A free place for a slot: on a new root port, or on the bus of a machine without PCI Express.
fn new_place(domain: &mut Document, slot: &Slot) -> (u32, u32) {
    if !is_express(domain.root()) {
        let taken = taken_slots(domain.root());
        return (0, (FIRST_CONVENTIONAL_SLOT..0x1f).find(|slot| !taken.contains(&(0, *slot))).unwrap_or(FIRST_CONVENTIONAL_SLOT));
    }
    let bus = next_bus(domain.root());
    if let Some(first) = slot.functions.first() {
        let port = Fragment::new("controller").with("type", "pci").with("index", bus).with("model", "pcie-root-port");
        add(domain, &port.child(named(&alias::pci(alias::PORT, *first))));
    }
    (bus, 0)
}

/// Root ports of vgapt's on which nothing sits any more.
fn remove_empty_ports(domain: &mut Document) {
    let taken = taken_slots(domain.root());
    alias::retain(domain, alias::PORT, |port, _| number(port, "index").is_some_and(|bus| taken.iter().any(|(taken, _)| *taken == bus)));
}

/// The hostdev that passes this function, whoever put it in.
pub(super) fn hostdev_of(domain: Element<'_>, function: PciAddress) -> Option<Element<'_>> {
    pci_hostdevs(domain).find(|(_, address)| *address == function).map(|(hostdev, _)| hostdev)
}

/// All PCI hostdevs with the host's address of each.
pub(super) fn pci_hostdevs(domain: Element<'_>) -> impl Iterator<Item = (Element<'_>, PciAddress)> {
    let hostdevs = domain.child("devices").into_iter().flat_map(|devices| devices.children_named("hostdev"));
    hostdevs.filter(|hostdev| hostdev.attribute("type").as_deref() == Some("pci")).filter_map(|hostdev| {
        let address = hostdev.at("source/address")?;
        let part = |name: &str| number(address, name);
        let narrow = |name: &str| part(name).and_then(|value| u8::try_from(value).ok());
        Some((
            hostdev,
            PciAddress { domain: part("domain").unwrap_or(0), bus: narrow("bus")?, device: narrow("slot")?, function: narrow("function")? },
        ))
    })
}

/// The host's addresses of all PCI functions that a domain passes.
pub fn passed_functions(domain: &Document) -> Vec<PciAddress> {
    pci_hostdevs(domain.root()).map(|(_, address)| address).collect()
}

fn guest_slot(domain: Element<'_>, alias: &str) -> Option<(u32, u32)> {
    let (hostdev, _) = alias::with_prefix(domain, alias).find(|(_, rest)| rest.is_empty())?;
    let address = hostdev.child("address")?;
    Some((number(address, "bus")?, number(address, "slot")?))
}

/// Whether the machine has PCI Express: q35, or one that says so by its root.
fn is_express(domain: Element<'_>) -> bool {
    let machine = domain.at("os/type").and_then(|kind| kind.attribute("machine"));
    let mut controllers = domain.child("devices").into_iter().flat_map(|devices| devices.children_named("controller"));
    machine.is_some_and(|machine| machine.contains("q35") || machine.starts_with("virt"))
        || controllers.any(|controller| controller.attribute("model").as_deref() == Some("pcie-root"))
}

/// Where a function sits in the guest.
struct GuestAddress {
    bus: u32,
    slot: u32,
    function: usize,
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
    pci_hostdev(function).child(named(name)).child(address)
}

/// A function of the host's, without a place in the guest.
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
        // libvirt's own choice; said, because a host without VFIO would not turn it into QEMU's options.
        .child(Fragment::new("driver").with("name", "vfio"))
        .child(Fragment::new("source").child(host))
}

/// Gives a card's function a firmware file, or takes it out.
pub(super) fn set_rom(domain: &mut Document, function: PciAddress, file: Option<&str>) {
    let Some(hostdev) = alias::find(domain.root(), &alias::pci(alias::GPU, function)) else { return };
    match (domain.element(hostdev).child("rom").map(Element::id), file) {
        (Some(rom), Some(file)) => domain.set_attribute(rom, "file", file),
        (Some(rom), None) => domain.remove(rom),
        (None, Some(file)) => {
            super::devices::insert_behind(domain, hostdev, &Fragment::new("rom").with("file", file), &["driver", "source", "alias"]);
        }
        (None, None) => {}
    }
}

/// Makes vgapt's USB hostdevs exactly these.
pub(super) fn set_usb(domain: &mut Document, ids: &[UsbId]) {
    let wanted: Vec<String> = ids.iter().map(|id| alias::usb(*id)).collect();
    alias::retain(domain, alias::USB, |_, rest| wanted.contains(&format!("{}{rest}", alias::USB)));
    for (id, name) in ids.iter().zip(&wanted) {
        if alias::find(domain.root(), name).is_none() && !passes_usb(domain.root(), *id) {
            let source = Fragment::new("source")
                .child(Fragment::new("vendor").with("id", format_args!("0x{:04x}", id.vendor)))
                .child(Fragment::new("product").with("id", format_args!("0x{:04x}", id.product)));
            let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes");
            add(domain, &hostdev.child(source).child(named(name)));
        }
    }
}

/// Whether somebody passes this USB device already.
pub(super) fn passes_usb(domain: Element<'_>, id: UsbId) -> bool {
    let mut hostdevs = domain.child("devices").into_iter().flat_map(|devices| devices.children_named("hostdev"));
    let part = |hostdev: Element<'_>, name: &str| hostdev.at(&format!("source/{name}")).and_then(|part| number(part, "id"));
    hostdevs.any(|hostdev| part(hostdev, "vendor") == Some(id.vendor.into()) && part(hostdev, "product") == Some(id.product.into()))
}

pub(super) fn named(alias: &str) -> Fragment {
    Fragment::new("alias").with("name", alias)
}
