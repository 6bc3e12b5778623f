//! The host's PCI devices and mediated devices, and the ports that they are on.

use super::draft::Draft;
use crate::domain::pci_hostdev;
use crate::model::{PciAddress, is_uuid};
use crate::xml::Fragment;

/// Ports and bridges, which libvirt adds as needed.
const PORTS: [&str; 7] =
    ["ioh3420", "pcie-root-port", "pci-bridge", "x3130-upstream", "xio3130-downstream", "pcie-pci-bridge", "i82801b11-bridge"];

pub(super) fn translate(draft: &mut Draft) {
    for index in draft.devices(&PORTS) {
        let id = draft.options[index].props.peek("id").unwrap_or_default().to_owned();
        draft.renamed.push((id, String::new()));
        draft.options[index].props = super::props::Props::default();
        draft.native(index, "<controller type='pci'>: libvirt adds the ports that it needs");
    }
    let devices = draft.devices(&["vfio-pci", "vfio-pci-nohotplug"]);
    let addresses: Vec<Option<PciAddress>> =
        devices.iter().map(|index| draft.options[*index].props.peek("host").and_then(|host| host.parse().ok())).collect();
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
        if address.is_some() && draft.conversions[*index].is_none() {
            draft.drop(*index, "the same device is passed twice");
        }
    }
}

/// Functions of one card stay functions of one card.
fn pass(draft: &mut Draft, index: usize, address: PciAddress, place: Option<(u32, u32)>, position: usize) {
    let guest = place.map(|(bus, slot)| {
        let guest = Fragment::new("address").with("type", "pci").with("domain", "0x0000").with("bus", format_args!("0x{bus:02x}"));
        let guest = guest.with("slot", format_args!("0x{slot:02x}")).with("function", format_args!("0x{position:x}"));
        if position == 0 { guest.with("multifunction", "on") } else { guest }
    });
    let guest = guest.or_else(|| legacy_graphics(draft, index, address));
    draft.options[index].props.ignore(&["driver", "host"]);
    finish(draft, index, pci_hostdev(address), guest);
}

/// Intel integrated graphics work in legacy mode only at 00:02.0 of the guest (`docs/igd-assign.txt` of QEMU):
/// a script that sets this address gets it.
///
/// Without an address QEMU assigns the first free one, which is 00:02.0 if the guest has no emulated VGA.
fn legacy_graphics(draft: &mut Draft, index: usize, address: PciAddress) -> Option<Fragment> {
    let is_vga = |option: &super::options::QemuOption| match option.name.as_str() {
        "vga" => option.props.peek("model") != Some("none"),
        "device" => option.props.peek("driver").is_some_and(|driver| driver.ends_with("-vga") || driver == "VGA"),
        _ => false,
    };
    let has_vga = draft.options.iter().any(is_vga) || !(draft.has_option("nodefaults") || draft.has_option("vga"));
    let is_integrated = address.to_string() == "0000:00:02.0";
    let props = &mut draft.options[index].props;
    let is_free = props.peek("addr").is_none() && props.peek("bus").is_none() && is_integrated && !has_vga;
    if is_free {
        props.set("addr", "2");
    }
    let is_root = props.peek("bus").is_none_or(|bus| ["pcie.0", "pci.0", "pci", "pcie"].contains(&bus));
    let slot = props.peek("addr").map(|addr| addr.trim_start_matches("0x").trim_start_matches('0').to_owned())?;
    if !is_root || !["2", "2.0"].contains(&slot.as_str()) {
        return None;
    }
    props.ignore(&["bus", "addr"]);
    let place = Fragment::new("address").with("type", "pci").with("domain", "0x0000").with("bus", "0x00");
    Some(place.with("slot", "0x02").with("function", "0x0"))
}

fn mediated(draft: &mut Draft, index: usize) {
    let path = draft.options[index].props.peek("sysfsdev").unwrap_or_default().to_owned();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let address: Option<PciAddress> = name.parse().ok();
    if let Some(address) = address {
        draft.take(index, "sysfsdev");
        pass(draft, index, address, None, 0);
        return;
    }
    if !is_uuid(&name) {
        draft.keep(index, "it names no device that libvirt could pass through");
        return;
    }
    draft.options[index].props.ignore(&["driver", "sysfsdev"]);
    let mut hostdev =
        Fragment::new("hostdev").with("mode", "subsystem").with("type", "mdev").with("managed", "no").with("model", "vfio-pci");
    for name in ["display", "ramfb"] {
        if let Some(value) = draft.take(index, name) {
            hostdev = hostdev.with(name, value);
        }
    }
    let hostdev = hostdev.child(Fragment::new("source").child(Fragment::new("address").with("uuid", name)));
    finish(draft, index, hostdev, None);
}

fn finish(draft: &mut Draft, index: usize, hostdev: Fragment, guest: Option<Fragment>) {
    let file = draft.take(index, "romfile");
    let bar = draft.flag(index, "rombar");
    let mut rom = Fragment::new("rom");
    if let Some(is_on) = bar {
        rom = rom.with("bar", if is_on { "on" } else { "off" });
    }
    if let Some(file) = file.as_ref().filter(|file| !file.is_empty()) {
        rom = rom.with("file", file);
    }
    let rom = if file.as_deref() == Some("") { Fragment::new("rom").with("enabled", "no") } else { rom };
    let boot = draft.boot_order(index);
    draft.ignore_address(index);
    let alias = format!("ua-import-{index}");
    let left = draft.options[index].props.left();
    let hostdev = hostdev.child_if((!rom.attributes().is_empty()).then_some(rom)).child_if(boot);
    let hostdev = hostdev.child_if((!left.is_empty()).then(|| Fragment::new("alias").with("name", &alias)));
    draft.device(hostdev.child_if(guest));
    for (name, value) in left {
        draft.take(index, &name);
        draft
            .notes
            .push(format!("{name}={value} of {} has no element, and is passed to QEMU by <qemu:override>", draft.options[index].text()));
        draft.overrides.push((alias.clone(), name, value));
    }
    draft.native(index, "<hostdev>");
}
