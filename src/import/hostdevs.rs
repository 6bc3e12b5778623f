//! The host's PCI devices and mediated devices, and the ports that they are on.

use super::draft::Draft;
use super::options::QemuOption;
use crate::domain::pci_hostdev;
use crate::model::{PciAddress, is_uuid};
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    for index in draft.devices(&["controller pci"]) {
        draft.add_controller(Some(index), "", 1, "pci", 0);
        draft.fill(index, "controller pci", &mut Fragment::new(""));
        draft.fill(index, "device", &mut Fragment::new(""));
        draft.native(index, "<controller type='pci'>: libvirt adds the ports that it needs");
    }
    let devices = draft.devices(&["hostdev"]);
    for index in devices.iter().copied() {
        if !draft.peek(index, "driver").is_some_and(|driver| driver.ends_with("pci-assign")) {
            continue;
        }
        // Properties of this device alone, which chose how interrupts reach the guest.
        draft.options[index].props.ignore(&["prefer-msi", "share-intx", "configfd"]);
        draft.notes.push(format!("{}: QEMU 3.0 and later have no such device: VFIO passes it in its place", draft.options[index].written));
    }
    let addresses: Vec<Option<PciAddress>> =
        devices.iter().map(|index| draft.peek(*index, "host").and_then(|host| host.parse().ok())).collect();
    let mut slots: Vec<Vec<(usize, PciAddress)>> = Vec::new();
    for (index, address) in devices.iter().zip(&addresses) {
        let Some(address) = address else {
            mediated(draft, *index);
            continue;
        };
        match slots.iter_mut().find(|slot| slot.iter().any(|(_, other)| other.same_slot(*address))) {
            Some(slot) => slot.push((*index, *address)),
            None => slots.push(vec![(*index, *address)]),
        }
    }
    let mut bus = 0;
    for mut slot in slots {
        slot.sort_by_key(|(_, address)| address.function);
        slot.dedup_by_key(|(_, address)| *address);
        let several = slot.len() > 1;
        let has_own_slot = |index: usize| draft.peek(index, "addr").is_none_or(|addr| !addr.contains('.'));
        if slot.iter().skip(1).any(|(index, _)| has_own_slot(*index)) {
            let all: Vec<String> = slot.iter().map(|(_, address)| address.to_string()).collect();
            draft.notes.push(format!(
                "{}: they share one slot of the guest, as on the host; the script gives each a slot of its own",
                all.join(", ")
            ));
        }
        if several && draft.is_express {
            bus += 1;
            draft.device(Fragment::new("controller").with("type", "pci").with("index", bus).with("model", "pcie-root-port"));
        }
        let place = several.then_some(if draft.is_express { (bus, 0) } else { (0, 0x10 + bus) });
        if several && !draft.is_express {
            bus += 1;
        }
        for (position, (index, address)) in slot.into_iter().enumerate() {
            pass(draft, index, address, place, position);
        }
    }
    for (index, address) in devices.iter().zip(&addresses) {
        if address.is_some() && draft.options[*index].fate.is_none() {
            draft.drop(*index, "the same device is passed twice");
        }
    }
}

/// Functions of one card stay functions of one card.
fn pass(draft: &mut Draft, index: usize, address: PciAddress, place: Option<(u32, u32)>, position: usize) {
    let guest = place.map(|(bus, slot)| {
        let guest = guest_address(&format!("0x{bus:02x}"), &format!("0x{slot:02x}"), &format!("0x{position:x}"));
        if position == 0 { guest.with("multifunction", "on") } else { guest }
    });
    let guest = guest.or_else(|| legacy_graphics(draft, index, address));
    let mut hostdev = pci_hostdev(address);
    draft.fill(index, "hostdev pci", &mut hostdev);
    finish(draft, index, hostdev, guest);
}

fn guest_address(bus: &str, slot: &str, function: &str) -> Fragment {
    Fragment::new("address").with("type", "pci").with("domain", "0x0000").with("bus", bus).with("slot", slot).with("function", function)
}

/// Intel integrated graphics work in legacy mode only at 00:02.0 of the guest (`docs/igd-assign.txt` of QEMU):
/// a script that sets this address gets it.
///
/// Without an address QEMU assigns the first free one, which is 00:02.0 if the guest has no emulated VGA.
fn legacy_graphics(draft: &mut Draft, index: usize, address: PciAddress) -> Option<Fragment> {
    let is_vga = |option: &QemuOption| match option.name.as_str() {
        "vga" => option.peek("model") != Some("none"),
        _ => option.driver().is_some_and(|driver| driver.ends_with("-vga") || driver == "VGA"),
    };
    let has_vga = draft.options.iter().any(is_vga) || !(draft.has_option("nodefaults") || draft.has_option("vga"));
    let (bus, addr) = (draft.peek(index, "bus"), draft.peek(index, "addr"));
    let is_first_free = addr.is_none() && bus.is_none() && address.to_string() == "0000:00:02.0" && !has_vga;
    let is_root = bus.is_none_or(|bus| ["pcie.0", "pci.0", "pci", "pcie"].contains(&bus));
    let is_said = addr.is_some_and(|addr| ["2", "2.0"].contains(&addr.trim_start_matches("0x").trim_start_matches('0')));
    let is_legacy = is_first_free || (is_root && is_said);
    if is_legacy {
        draft.options[index].props.ignore(&["bus", "addr"]);
    }
    is_legacy.then(|| guest_address("0x00", "0x02", "0x0"))
}

fn mediated(draft: &mut Draft, index: usize) {
    let path = draft.peek(index, "sysfsdev").unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    if let Ok(address) = name.parse::<PciAddress>() {
        return pass(draft, index, address, None, 0);
    }
    if !is_uuid(&name) {
        if draft.peek(index, "host").or(draft.peek(index, "sysfsdev")) == Some("") {
            return draft.refuse_empty(index);
        }
        return draft.keep(index, "it names no device that libvirt could pass through");
    }
    let mut hostdev =
        Fragment::new("hostdev").with("mode", "subsystem").with("type", "mdev").with("managed", "no").with("model", "vfio-pci");
    draft.fill(index, "mdev", &mut hostdev);
    finish(draft, index, hostdev.child(Fragment::new("source").child(Fragment::new("address").with("uuid", name))), None);
}

/// An empty name is no ROM.
pub(super) fn without_rom(device: &mut Fragment) {
    if device.at("rom").is_some_and(|rom| rom.attribute("file") == Some("")) {
        *device.below("rom") = Fragment::new("rom").with("enabled", "no");
    }
}

fn finish(draft: &mut Draft, index: usize, mut hostdev: Fragment, guest: Option<Fragment>) {
    draft.fill(index, "hostdev", &mut hostdev);
    without_rom(&mut hostdev);
    draft.ignore_address(index);
    let left = draft.options[index].props.left();
    let alias = format!("ua-import-{index}");
    if !left.is_empty() {
        hostdev.set("alias@name", &alias);
    }
    for (name, value) in left {
        draft.take(index, &name);
        draft
            .notes
            .push(format!("{name}={value} of {} has no element, and is passed to QEMU by <qemu:override>", draft.options[index].written));
        draft.overrides.push((alias.clone(), name, value));
    }
    draft.native(index, "<hostdev>");
    draft.device(hostdev.child_if(guest));
}
