//! USB: controllers, the host's devices, and emulated ones.

use super::draft::Draft;
use crate::xml::Fragment;

const CONTROLLERS: [&str; 9] = [
    "qemu-xhci",
    "nec-usb-xhci",
    "usb-ehci",
    "ich9-usb-ehci1",
    "ich9-usb-ehci2",
    "ich9-usb-uhci1",
    "ich9-usb-uhci2",
    "ich9-usb-uhci3",
    "piix3-usb-uhci",
];

/// Emulated devices for people's hands: driver, type, bus.
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

pub(super) fn translate(draft: &mut Draft) {
    let mut wanted = false;
    for index in draft.named(&["usb"]) {
        wanted = true;
        draft.native(index, "<controller type='usb'>");
    }
    let mut model = "qemu-xhci";
    for index in draft.devices(&CONTROLLERS) {
        wanted = true;
        let driver = draft.take(index, "driver").unwrap_or_default();
        if driver == "nec-usb-xhci" {
            model = "nec-xhci";
        }
        draft.place_freely(index);
        draft.options[index].props.ignore(&["p2", "p3", "masterbus", "firstport"]);
        let old = !driver.contains("xhci");
        draft.native(
            index,
            if old { "<controller type='usb' model='qemu-xhci'>, which knows devices of every speed" } else { "<controller type='usb'>" },
        );
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
            draft.place_freely(index);
            draft.native(index, "<input>");
        }
    }
    evdev(draft);
    wanted |= draft.options.iter().any(|option| option.props.peek("driver").is_some_and(|driver| driver.starts_with("usb-")));
    let controller = Fragment::new("controller").with("type", "usb");
    draft.device(if wanted { controller.with("index", 0).with("model", model) } else { controller.with("model", "none") });
}

fn old_style(draft: &mut Draft, index: usize) -> bool {
    let value = draft.options[index].value().to_owned();
    draft.options[index].props = super::props::Props::default();
    if let Some(device) = value.strip_prefix("host:") {
        let by = |separator| device.split_once(separator).map(|(one, other): (&str, &str)| (one.to_owned(), other.to_owned()));
        match (by(':'), by('.')) {
            (Some((vendor, product)), _) => pass(draft, by_id(&vendor, &product)),
            (None, Some((bus, address))) => pass(draft, by_place(&bus, &address)),
            _ => {
                draft.keep(index, "it names no device");
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
        draft.keep(index, "no element says this device");
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
    let hostdev = Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes");
    draft.device(hostdev.child(source.into_iter().fold(Fragment::new("source"), Fragment::child)));
}

fn host_device(draft: &mut Draft, index: usize) {
    let peek = |draft: &Draft, name: &str| draft.options[index].props.peek(name).map(str::to_owned);
    let place = peek(draft, "hostdevice").and_then(|path| {
        let mut parts = path.rsplit('/').map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    });
    let source = match (peek(draft, "vendorid"), peek(draft, "productid"), peek(draft, "hostbus"), peek(draft, "hostaddr"), place) {
        (Some(vendor), Some(product), ..) => by_id(&vendor, &product),
        (_, _, Some(bus), Some(address), _) => by_place(&bus, &address),
        (.., Some((device, bus))) => by_place(&bus, &device),
        _ => {
            draft.keep(index, "a device by its port: libvirt names one by its ids, or by its number on the bus");
            return;
        }
    };
    draft.options[index].props.ignore(&["driver", "vendorid", "productid", "hostbus", "hostaddr", "hostdevice", "port"]);
    draft.place_freely(index);
    pass(draft, source);
    draft.native(index, "<hostdev type='usb'>");
}

/// The host's keyboard and mouse, shared with the guest by a key.
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
