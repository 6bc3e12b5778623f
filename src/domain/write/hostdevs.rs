//! Host devices in a domain: PCI functions, each card on its own slot, and USB devices by their ids.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Draft;
use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::edit::{Change, Edit, Part, Place, Policy};
use crate::domain::record::Record;
use crate::domain::spec::{NetworkCard, Slot, Spec, Way};
use crate::domain_xml::{
    HostDevice, alias_of, device_with_alias, devices_named, functions_of_commandline, host_device, hostdev_of, is_express, is_first,
    joinable, next_bus, number, on_slot, passes_usb, pci_hostdevs, place, taken_slots,
};
use crate::model::{PciAddress, UsbId};
use crate::xml::{Document, Element, Fragment};

/// On the root bus of a machine without PCI Express, slots up to this one are used last, because libvirt and QEMU
/// place their own devices from the first slot on.
const LAST_CONVENTIONAL_SLOT: u32 = 0x0f;
/// The number of functions of a PCI slot.
const PER_SLOT: u32 = 8;
/// The highest bus number of a PCI domain.
const LAST_BUS: u32 = 0xff;

/// How functions are passed that are not managed `<hostdev>`s.
type Ways = BTreeMap<PciAddress, Way>;

/// The kinds of passed functions, with the prefix of their aliases.
pub(crate) const CARDS: (Part, &str) = (Part::Cards, alias::GPU);
pub(crate) const FUNCTIONS: (Part, &str) = (Part::Functions, alias::PCI);

/// Sets vgapt's PCI hostdevs of one kind to exactly these.
pub(crate) fn set(draft: &mut Draft, (part, prefix): (Part, &'static str), slots: &[Slot], ways: &Ways) {
    let wanted: Vec<String> = slots.iter().flat_map(|slot| &slot.functions).map(|function| alias::pci(prefix, *function)).collect();
    // An older vgapt passed network cards as `<hostdev>`, for which libvirt sets nothing.
    let lacks_settings = |device: Element<'_>| {
        let way = host_function(device).and_then(|function| ways.get(&function));
        device.name() == "hostdev" && way.and_then(|way| way.network.as_ref()).is_some_and(|card| card.mac.is_some() || card.vlan.is_some())
    };
    draft.retain(part, prefix, |device, rest| wanted.contains(&format!("{prefix}{rest}")) && !lacks_settings(device));
    // Root ports that no device uses any more.
    let taken = taken_slots(draft.root());
    draft.retain(part, alias::PORT, |port, _| number(port, "index").is_some_and(|bus| taken.iter().any(|(taken, _)| *taken == bus)));
    for slot in slots {
        set_slot(draft, (part, prefix), slot, ways);
        for (function, card) in slot.functions.iter().filter_map(|function| Some((function, ways.get(function)?.network.as_ref()?))) {
            set_network(draft, part, &alias::pci(prefix, *function), card);
        }
    }
}

/// What is to be set of a network card; a MAC address that is there stays, if no other one is given.
fn set_network(draft: &mut Draft, part: Part, name: &str, card: &NetworkCard) {
    if device_with_alias(draft.root(), name).is_none_or(|device| device.name() != "interface") {
        return;
    }
    if let Some(mac) = &card.mac {
        draft.apply(Edit::device(part, name, "mac").with("address", mac));
    }
    let vlan = Edit::device(part, name, "vlan");
    match card.vlan {
        Some(id) => draft.apply(Edit::device(part, name, "vlan/tag").with("id", id)),
        None if vlan.place.find(draft.root()).is_some() => draft.apply(Edit { change: Change::Remove, ..vlan }),
        None => {}
    }
}

fn host_function(device: Element<'_>) -> Option<PciAddress> {
    match host_device(device)? {
        HostDevice::Function(function) => Some(function),
        _ => None,
    }
}

/// The functions that the domain does not pass yet, neither as a libvirt device nor in `<qemu:commandline>`.
pub(crate) fn missing(domain: &Document, slot: &Slot) -> Vec<PciAddress> {
    let given = functions_of_commandline(domain);
    slot.functions.iter().copied().filter(|function| hostdev_of(domain.root(), *function).is_none() && !given.contains(function)).collect()
}

/// Adds the missing functions of a slot.
fn set_slot(draft: &mut Draft, (part, prefix): (Part, &'static str), slot: &Slot, ways: &Ways) {
    let missing = missing(&draft.domain, slot);
    if missing.is_empty() {
        return;
    }
    // Functions that are present stay in their place, and the others are added to the same slot. A guest probes further
    // functions of a slot only if the first is marked as multifunction.
    let present = slot.functions.iter().find_map(|function| place(hostdev_of(draft.root(), *function)?.child("address")?));
    let place = present.filter(|place| free_functions(draft.root(), *place).len() >= missing.len());
    let Some((bus, device)) = place.or_else(|| new_place(draft, part, slot)) else { return };
    let mut free = free_functions(draft.root(), (bus, device));
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
        draft.apply(Edit::insert(part, pci(*function, ways.get(function), &alias::pci(prefix, *function), &guest)));
    }
    if several {
        draft.apply(multifunction((bus, device), Some("on")));
    }
}

/// A free place for a slot: where it is expected, on a new root port, or on a conventional PCI bus.
fn new_place(draft: &mut Draft, part: Part, slot: &Slot) -> Option<(u32, u32)> {
    if !is_express(draft.root()) {
        return conventional_place(draft.root());
    }
    if let Some(place) = slot.place.filter(|place| !taken_slots(draft.root()).contains(place)) {
        return Some(place);
    }
    let bus = next_bus(draft.root());
    if bus > LAST_BUS {
        return None;
    }
    if let Some(first) = slot.functions.first() {
        let port = Fragment::new("controller").with("type", "pci").with("index", bus).with("model", "pcie-root-port");
        draft.apply(Edit::insert(part, port.child(alias::element(&alias::pci(alias::PORT, *first)))));
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
    (0..PER_SLOT).filter(|function| !taken.contains(function)).collect()
}

/// The attribute `multifunction='on'` of a slot's first function. vgapt sets it on a device of the user if it adds
/// functions to the same slot, libvirt sets it on a root port if vgapt's port shares the slot.
fn multifunction((bus, slot): (u32, u32), value: Option<&str>) -> Edit {
    let edit = Edit { part: Part::Functions, place: Place::Slot(bus, slot), change: Change::Put(Vec::new()), policy: Policy::Helper };
    edit.with_or_without("multifunction", value)
}

/// Removes the attribute where the first function had none and is alone again.
pub(crate) fn unset_multifunction(draft: &mut Draft, single: &BTreeSet<(u32, u32)>) {
    for place in single.iter().copied() {
        let addresses: Vec<Element<'_>> = on_slot(draft.root(), place).collect();
        let is_on = |first: Element<'_>| is_first(first) && first.attribute("multifunction").as_deref() == Some("on");
        if matches!(addresses.as_slice(), [first] if is_on(*first)) {
            draft.apply(multifunction(place, None));
        }
    }
}

/// The address of a function in the guest.
struct GuestAddress {
    bus: u32,
    slot: u32,
    function: u32,
    multifunction: bool,
}

fn pci(function: PciAddress, way: Option<&Way>, name: &str, guest: &GuestAddress) -> Fragment {
    let mut address = Fragment::new("address")
        .with("type", "pci")
        .with("domain", "0x0000")
        .with("bus", format_args!("0x{:02x}", guest.bus))
        .with("slot", format_args!("0x{:02x}", guest.slot))
        .with("function", format_args!("0x{:x}", guest.function));
    if guest.multifunction {
        address = address.with("multifunction", "on");
    }
    passed(function, way).child(alias::element(name)).child(address)
}

/// A hostdev for a host function, without a guest address.
pub fn pci_hostdev(function: PciAddress) -> Fragment {
    passed(function, None)
}

fn passed(function: PciAddress, way: Option<&Way>) -> Fragment {
    let managed = if way.is_none_or(|way| way.managed) { "yes" } else { "no" };
    let host = Fragment::new("address")
        .with("domain", format_args!("0x{:04x}", function.domain))
        .with("bus", format_args!("0x{:02x}", function.bus))
        .with("slot", format_args!("0x{:02x}", function.device))
        .with("function", format_args!("0x{:x}", function.function));
    // libvirt's default; stated explicitly, because libvirt on a host without VFIO would not generate QEMU's options otherwise.
    let driver = Fragment::new("driver").with("name", "vfio");
    let Some(card) = way.and_then(|way| way.network.as_ref()) else {
        let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "pci").with("managed", managed);
        return hostdev.child(driver).child(Fragment::new("source").child(host));
    };
    let vlan = card.vlan.map(|vlan| Fragment::new("vlan").child(Fragment::new("tag").with("id", vlan)));
    Fragment::new("interface")
        .with("type", "hostdev")
        .with("managed", managed)
        .child_if(card.mac.as_ref().map(|mac| Fragment::new("mac").with("address", mac)))
        .child(driver)
        .child(Fragment::new("source").child(host.with("type", "pci")))
        .child_if(vlan)
}

/// Sets or removes the firmware file of a card's function.
pub(crate) fn set_rom(draft: &mut Draft, function: PciAddress, file: Option<&str>) {
    let edit = Edit::device(Part::Cards, &alias::pci(alias::GPU, function), "rom");
    draft.apply(match file {
        Some(file) => edit.with("file", file),
        None => Edit { change: Change::Remove, ..edit },
    });
}

/// Sets vgapt's USB hostdevs to exactly these.
pub(crate) fn set_usb(draft: &mut Draft, ids: &[UsbId]) {
    draft.retain(Part::Usb, alias::USB, |_, rest| ids.iter().any(|id| alias::usb(*id) == format!("{}{rest}", alias::USB)));
    for id in ids {
        if passes_usb(draft.root(), *id) {
            continue;
        }
        let source = Fragment::new("source")
            .child(Fragment::new("vendor").with("id", format_args!("0x{:04x}", id.vendor)))
            .child(Fragment::new("product").with("id", format_args!("0x{:04x}", id.product)));
        let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes");
        draft.apply(Edit::insert(Part::Usb, hostdev.child(source).child(alias::element(&alias::usb(*id)))));
    }
}

/// The functions that were passed through by hand before vgapt: they stay in the domain when vgapt removes
/// its own. A function that vgapt added does not count, even if its alias was lost.
pub(crate) fn by_hand(base: &Base, spec: &Spec) -> BTreeSet<PciAddress> {
    let last = base.last.as_ref();
    let mut known = last.map(|last| last.by_hand.clone()).unwrap_or_default();
    if base.purpose == Purpose::Detach {
        return known;
    }
    let was_passed = |function| last.is_some_and(|last| last.passed.iter().any(|passed| passed.address == function));
    let is_ours = |name: String| name.starts_with(alias::GPU) || name.starts_with(alias::PCI);
    known.extend(spec.slots().flat_map(|slot| &slot.functions).copied().filter(|function| {
        let hostdev = hostdev_of(base.domain.root(), *function);
        !was_passed(*function) && hostdev.is_some_and(|hostdev| !alias_of(hostdev).is_some_and(is_ours))
    }));
    known
}

/// The guest slots whose first function had no `multifunction` attribute before functions were added to a domain that
/// vgapt does not manage.
pub(crate) fn single_functions(base: &Base, spec: &Spec) -> BTreeSet<(u32, u32)> {
    let mut known = base.last.as_ref().map(|last| last.single_functions.clone()).unwrap_or_default();
    if base.is_unmanaged() && base.purpose != Purpose::Detach && spec.slots().next().is_some() {
        known.extend(single(&base.domain));
    }
    known
}

/// The slots of a domain with a single function and without the attribute: bus and slot.
fn single(domain: &Document) -> Vec<(u32, u32)> {
    let is_unmanaged = |device| alias_of(device).is_none_or(|name| !name.starts_with(alias::OURS));
    let is_silent = |address: &Element<'_>| is_first(*address) && address.attribute("multifunction").is_none();
    let places: BTreeSet<(u32, u32)> = joinable(domain.root(), is_unmanaged).filter(is_silent).filter_map(place).collect();
    places.into_iter().filter(|place| on_slot(domain.root(), *place).count() == 1).collect()
}

/// Restores the alias of attached functions where an editor removed it; they are recognised by their host address.
/// Functions that were passed before vgapt was used are left alone.
pub fn recognise(domain: &mut Document, record: &Record) {
    let is_ours = |address| record.passed.iter().any(|passed| passed.address == address) && !record.by_hand.contains(&address);
    let nameless = |(hostdev, address): &(Element<'_>, _)| hostdev.child("alias").is_none() && is_ours(*address);
    let found: Vec<_> = pci_hostdevs(domain.root()).filter(nameless).map(|(hostdev, address)| (hostdev.id(), address)).collect();
    // In reverse order, so that the ids of the others stay valid.
    for (hostdev, address) in found.into_iter().rev() {
        domain.append(hostdev, &alias::element(&alias::pci(alias::GPU, address)));
    }
}
