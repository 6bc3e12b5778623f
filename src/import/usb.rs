//! USB: controllers, the host's devices, and emulated ones.

use super::draft::Draft;
use crate::xml::Fragment;

/// Controllers: driver, libvirt's model.
const CONTROLLERS: [(&str, &str); 10] = [
    ("qemu-xhci", "qemu-xhci"),
    ("nec-usb-xhci", "nec-xhci"),
    ("usb-ehci", "ehci"),
    ("ich9-usb-ehci1", "ich9-ehci1"),
    ("ich9-usb-uhci1", "ich9-uhci1"),
    ("ich9-usb-uhci2", "ich9-uhci2"),
    ("ich9-usb-uhci3", "ich9-uhci3"),
    ("piix3-usb-uhci", "piix3-uhci"),
    ("piix4-usb-uhci", "piix4-uhci"),
    ("pci-ohci", "pci-ohci"),
];

/// Emulated input devices: driver, type, bus.
const INPUTS: [(&str, &str, &str); 9] = [
    ("usb-tablet", "tablet", "usb"),
    ("usb-mouse", "mouse", "usb"),
    ("usb-kbd", "keyboard", "usb"),
    ("virtio-keyboard-pci", "keyboard", "virtio"),
    ("virtio-mouse-pci", "mouse", "virtio"),
    ("virtio-tablet-pci", "tablet", "virtio"),
    ("virtio-keyboard", "keyboard", "virtio"),
    ("virtio-mouse", "mouse", "virtio"),
    ("virtio-tablet", "tablet", "virtio"),
];

const USB_ID_REMEDY: &str =
    "see lsusb, and correct the ids in the script: 046d:c31c is host:046d:c31c, or vendorid=0x046d,productid=0xc31c";

pub(super) fn translate(draft: &mut Draft) {
    let mut wanted = false;
    let of_machine = |option: &super::options::QemuOption| option.name == "machine" && option.props.peek("usb") == Some("on");
    let board = draft.has_option("usb") || draft.has_option("usbdevice") || draft.options.iter().any(of_machine);
    let first = if board { of_board(draft) } else { 0 };
    let count = controllers(draft, first);
    for index in draft.named(&["usb"]) {
        wanted = true;
        draft.native(index, "<controller type='usb'>");
    }
    for index in draft.named(&["usbdevice"]) {
        wanted |= old_style(draft, index);
    }
    for index in draft.devices(&["usb-host"]) {
        wanted = true;
        host_device(draft, index);
    }
    for (driver, kind, bus) in INPUTS {
        for index in draft.devices(&[driver]) {
            wanted |= bus == "usb";
            draft.device(Fragment::new("input").with("type", kind).with("bus", bus));
            draft.take(index, "driver");
            draft.ignore_address(index);
            draft.native(index, "<input>");
        }
    }
    evdev(draft);
    wanted |= draft.options.iter().any(|option| option.props.peek("driver").is_some_and(|driver| driver.starts_with("usb-")));
    let controller = Fragment::new("controller").with("type", "usb");
    if count == 0 {
        draft.device(if wanted { controller.with("index", 0).with("model", "qemu-xhci") } else { controller.with("model", "none") });
    }
}

/// The board's controller that `-usb` enables (`pc_q35.c`, `pc_piix.c`): EHCI with its companions, or UHCI alone.
fn of_board(draft: &mut Draft) -> usize {
    // The bus of the controller that -usb enables (`usb_bus_new` of `hw/usb/bus.c`).
    draft.renamed.push(("usb-bus".into(), "usb".into()));
    let controller = |model: &str| Fragment::new("controller").with("type", "usb").with("index", 0).with("model", model);
    if !draft.is_express {
        draft.device(controller("piix3-uhci"));
        return 1;
    }
    draft.device(controller("ich9-ehci1"));
    for (model, port) in [("ich9-uhci1", 0), ("ich9-uhci2", 2), ("ich9-uhci3", 4)] {
        draft.device(controller(model).child(Fragment::new("master").with("startport", port)));
    }
    1
}

/// Adds the controllers by model; returns the number of buses. Companions share their master's bus.
fn controllers(draft: &mut Draft, first: usize) -> usize {
    let mut count = first;
    let mut masters: Vec<(String, usize)> = Vec::new();
    let drivers: Vec<&str> = CONTROLLERS.iter().map(|(driver, _)| *driver).collect();
    for index in draft.devices(&drivers) {
        if draft.options[index].props.peek("masterbus").is_none() && is_companion(&draft.options[index]) {
            draft.keep(index, "a companion controller without the EHCI controller that libvirt requires");
            continue;
        }
        let driver = draft.take(index, "driver").unwrap_or_default();
        let model = CONTROLLERS.iter().find(|(known, _)| *known == driver).map_or("qemu-xhci", |(_, model)| model);
        let id = draft.take(index, "id").unwrap_or_default();
        let master = draft.take(index, "masterbus");
        let master = master.and_then(|bus| masters.iter().find(|(id, _)| bus.split('.').next() == Some(id)).map(|(_, number)| *number));
        let first = draft.take(index, "firstport").unwrap_or_else(|| "0".into());
        let number = master.unwrap_or(count);
        let mut element = Fragment::new("controller").with("type", "usb").with("index", number).with("model", model);
        let ports: Vec<u32> = ["p2", "p3"].iter().filter_map(|name| draft.take(index, name)?.parse().ok()).collect();
        // libvirt counts the ports of xHCI together, QEMU those of USB 2 and of USB 3; both have as many.
        if let Some(ports) = ports.into_iter().max().filter(|ports| model.contains("xhci") && *ports <= 15) {
            element = element.with("ports", ports);
        }
        if master.is_some() {
            element = element.child(Fragment::new("master").with("startport", first));
        } else {
            // The alias of libvirt's first controller is `usb` (`qemuAssignDeviceControllerAlias`).
            draft.renamed.push((id.clone(), if number == 0 { "usb".into() } else { format!("usb{number}") }));
            masters.push((id, number));
            count += 1;
        }
        draft.device(element);
        draft.ignore_address(index);
        draft.native(index, &format!("<controller type='usb' model='{model}'>"));
    }
    count
}

fn is_companion(option: &super::options::QemuOption) -> bool {
    option.props.peek("driver").is_some_and(|driver| driver.starts_with("ich9-usb-uhci"))
}

fn old_style(draft: &mut Draft, index: usize) -> bool {
    let value = draft.options[index].value().to_owned();
    draft.options[index].props = super::props::Props::default();
    if let Some(device) = value.strip_prefix("host:") {
        let by = |separator| device.split_once(separator).map(|(one, other): (&str, &str)| (one.to_owned(), other.to_owned()));
        let is_hex = |id: &String| u16::from_str_radix(id.trim_start_matches("0x"), 16).is_ok();
        let is_number = |number: &String| number.parse::<u16>().is_ok();
        match (by(':'), by('.')) {
            (Some((vendor, product)), _) if is_hex(&vendor) && is_hex(&product) => pass(draft, by_id(&vendor, &product)),
            (None, Some((bus, address))) if is_number(&bus) && is_number(&address) => pass(draft, by_place(&bus, &address)),
            _ => {
                draft.refuse(index, "it names no USB device", USB_ID_REMEDY);
                return true;
            }
        }
        draft.native(index, "<hostdev type='usb'>");
        return true;
    }
    let kind = if value == "kbd" { "keyboard" } else { value.as_str() };
    if ["tablet", "mouse", "keyboard"].contains(&kind) {
        draft.device(Fragment::new("input").with("type", kind).with("bus", "usb"));
        draft.native(index, "<input>");
    } else {
        draft.keep(index, "libvirt has no element for this device");
    }
    true
}

fn by_id(vendor: &str, product: &str) -> Vec<Fragment> {
    let hex = |text: &str| format!("0x{:0>4}", text.trim_start_matches("0x"));
    vec![Fragment::new("vendor").with("id", hex(vendor)), Fragment::new("product").with("id", hex(product))]
}

fn by_place(bus: &str, device: &str) -> Vec<Fragment> {
    // Leading zeros would be octal.
    let plain = |text: &str| text.trim_start_matches('0').to_owned();
    vec![Fragment::new("address").with("bus", plain(bus)).with("device", plain(device))]
}

fn pass(draft: &mut Draft, source: Vec<Fragment>) {
    pass_with(draft, source, None, None);
}

fn pass_with(draft: &mut Draft, source: Vec<Fragment>, reset: Option<&str>, boot: Option<Fragment>) {
    let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes");
    let element = Fragment::new("source");
    let element = if let Some(reset) = reset { element.with("guestReset", reset) } else { element };
    draft.device(hostdev.child(source.into_iter().fold(element, Fragment::child)).child_if(boot));
}

fn host_device(draft: &mut Draft, index: usize) {
    let peek = |draft: &Draft, name: &str| draft.options[index].props.peek(name).map(str::to_owned);
    let place = peek(draft, "hostdevice").and_then(|path| {
        let mut parts = path.rsplit('/').map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    });
    let source = match (peek(draft, "vendorid"), peek(draft, "productid"), peek(draft, "hostbus"), peek(draft, "hostaddr"), place) {
        (Some(vendor), Some(product), ..) => match (number(&vendor), number(&product)) {
            (Some(vendor), Some(product)) => by_id(&format!("{vendor:04x}"), &format!("{product:04x}")),
            _ => {
                draft.refuse(index, "its ids are not numbers, and QEMU refuses them", USB_ID_REMEDY);
                return;
            }
        },
        (_, _, Some(bus), Some(address), _) => by_place(&bus, &address),
        (.., Some((device, bus))) => by_place(&bus, &device),
        _ => {
            draft.keep(index, "it selects a device by port; libvirt selects one by its ids, or by bus and device number");
            return;
        }
    };
    let source = match draft.take(index, "guest-reset").as_deref() {
        Some("off" | "false" | "no") => (source, Some("off")),
        _ => (source, None),
    };
    draft.options[index].props.ignore(&["driver", "vendorid", "productid", "hostbus", "hostaddr", "hostdevice", "port"]);
    let boot = draft.boot_order(index);
    draft.ignore_address(index);
    pass_with(draft, source.0, source.1, boot);
    draft.native(index, "<hostdev type='usb'>");
}

/// A number as QEMU parses properties (`qemu_strtou64` with base 0): `0x` is hexadecimal, a leading zero
/// octal, anything else decimal.
fn number(text: &str) -> Option<u16> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u16::from_str_radix(digits, 16).ok();
    }
    let is_octal = text.len() > 1 && text.starts_with('0');
    u16::from_str_radix(text, if is_octal { 8 } else { 10 }).ok()
}

/// The host's keyboard and mouse, switched between host and guest by a key.
fn evdev(draft: &mut Draft) {
    let objects: Vec<usize> =
        draft.named(&["object"]).into_iter().filter(|index| draft.options[*index].props.peek("qom-type") == Some("input-linux")).collect();
    for index in objects {
        let mut source = Fragment::new("source").with("dev", draft.take(index, "evdev").unwrap_or_default());
        if draft.flag(index, "grab_all") == Some(true) {
            source = source.with("grab", "all");
        }
        if let Some(keys) = draft.take(index, "grab-toggle") {
            source = source.with("grabToggle", keys);
        }
        if let Some(is_on) = draft.flag(index, "repeat") {
            source = source.with("repeat", if is_on { "on" } else { "off" });
        }
        draft.options[index].props.ignore(&["id", "qom-type"]);
        draft.device(Fragment::new("input").with("type", "evdev").child(source));
        draft.native(index, "<input type='evdev'>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decimal_unless_they_say_otherwise() {
        assert_eq!((number("1133"), number("0x046d"), number("010"), number("046d")), (Some(0x046d), Some(0x046d), Some(8), None));
    }
}
