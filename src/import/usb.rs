//! USB: controllers, the host's devices, and emulated ones.

use super::draft::Draft;
use super::options::QemuOption;
use super::table;
use crate::xml::Fragment;

const USB_ID_REMEDY: &str =
    "see lsusb, and correct the ids in the script: 046d:c31c is host:046d:c31c, or vendorid=0x046d,productid=0xc31c";

pub(super) fn translate(draft: &mut Draft) {
    let of_machine =
        |option: &QemuOption| (option.name == "machine" && option.peek("usb") == Some("on")) || option.written.starts_with("-usbdevice ");
    let board = draft.has_option("usb") || draft.options.iter().any(of_machine);
    let first = if board { of_board(draft) } else { 0 };
    let count = controllers(draft, first);
    for index in draft.named(&["usb"]) {
        draft.native(index, "<controller type='usb'>");
    }
    for index in draft.named(&["usbdevice"]) {
        if draft.options[index].value().starts_with("host:") {
            draft.refuse(index, "it names no USB device", USB_ID_REMEDY);
        }
    }
    for index in draft.devices(&["hostdev usb"]) {
        host_device(draft, index);
    }
    draft.convert_devices("input");
    draft.convert_devices("hub");
    // The host's keyboard and mouse, switched between host and guest by a key.
    for index in draft.objects("input-linux") {
        let mut input = Fragment::new("input").with("type", "evdev");
        draft.fill(index, "input-linux", &mut input);
        draft.device(input);
        draft.native(index, "<input type='evdev'>");
    }
    if count == 0 {
        let is_wanted = draft.options.iter().any(|option| option.peek("driver").is_some_and(|driver| driver.starts_with("usb-")));
        let controller = Fragment::new("controller").with("type", "usb");
        draft.device(if is_wanted { controller.with("index", 0).with("model", "qemu-xhci") } else { controller.with("model", "none") });
    }
}

/// The board's controller that `-usb` enables (`pc_q35.c`, `pc_piix.c`): EHCI with its companions, or UHCI alone.
fn of_board(draft: &mut Draft) -> usize {
    // The bus of the controller that -usb enables (`usb_bus_new` of `hw/usb/bus.c`).
    draft.add_controller(None, "usb-bus", 1, "usb", 0);
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
    for index in draft.devices(&["controller usb"]) {
        let is_companion = draft.peek(index, "driver").is_some_and(|driver| driver.starts_with("ich9-usb-uhci"));
        if is_companion && draft.peek(index, "masterbus").is_none() {
            draft.keep(index, "a companion controller without the EHCI controller that libvirt requires");
            continue;
        }
        let model = draft.element(index, "controller usb").attribute("model").unwrap_or_default().to_owned();
        let id = draft.peek(index, "id").unwrap_or_default().to_owned();
        let master = draft.take(index, "masterbus");
        let master = master.and_then(|bus| masters.iter().find(|(id, _)| bus.split('.').next() == Some(id)).map(|(_, number)| *number));
        let first = draft.take(index, "firstport").unwrap_or_else(|| "0".into());
        let number = master.unwrap_or(count);
        let mut element = Fragment::new("controller").with("type", "usb").with("index", number).with("model", &model);
        let ports: Vec<u32> = ["p2", "p3"].iter().filter_map(|name| draft.number(index, name)).collect();
        // libvirt counts the ports of xHCI together, QEMU those of USB 2 and of USB 3; both have as many.
        if let Some(ports) = ports.into_iter().max().filter(|ports| model.contains("xhci") && *ports <= 15) {
            element.set("@ports", ports);
        }
        if master.is_some() {
            element.set("master@startport", first);
        } else {
            draft.add_controller(Some(index), "usb-bus", 1, "usb", number);
            masters.push((id, number));
            count += 1;
        }
        draft.native(index, &format!("<controller type='usb' model='{model}'>"));
        draft.finish(index, element);
    }
    count
}

fn hostdev(source: Fragment) -> Fragment {
    Fragment::new("hostdev").with("mode", "subsystem").with("type", "usb").with("managed", "yes").child(source)
}

fn by_id(vendor: &str, product: &str) -> Fragment {
    let hex = |text: &str| format!("0x{:0>4}", text.trim_start_matches("0x"));
    let vendor = Fragment::new("vendor").with("id", hex(vendor));
    Fragment::new("source").child(vendor).child(Fragment::new("product").with("id", hex(product)))
}

fn by_place(bus: u64, device: u64) -> Fragment {
    Fragment::new("source").child(Fragment::new("address").with("bus", bus).with("device", device))
}

/// A place as QEMU reads it from an option, where a leading zero, as `lsusb` prints it, is octal.
fn place_of(draft: &mut Draft, index: usize, bus: &str, address: &str) -> Option<(u64, u64)> {
    let is_other = |text: &str| table::number(text).is_some_and(|number| text.parse().is_ok_and(|plain: u64| plain != number));
    let Some((number, device)) = table::number(bus).zip(table::number(address)) else {
        let why = format!("hostbus={bus},hostaddr={address} are not numbers: QEMU reads a leading zero as octal, and refuses them");
        draft.refuse(index, &why, "remove the leading zeros in the script");
        return None;
    };
    if [bus, address].into_iter().any(is_other) {
        draft.notes.push(format!("QEMU reads a leading zero as octal: hostbus={bus},hostaddr={address} is bus {number}, device {device}"));
    }
    Some((number, device))
}

fn host_device(draft: &mut Draft, index: usize) {
    let peek = |name: &str| draft.peek(index, name);
    let place = peek("hostdevice").and_then(|path| path.rsplit_once('/')).map(|(folder, device)| (folder.rsplit('/').next(), device));
    let by_ids = peek("vendorid").is_some() && peek("productid").is_some();
    if by_ids && (peek("hostbus").is_some() || peek("hostaddr").is_some()) {
        return draft.keep(index, "it selects a device by its ids and its place; libvirt selects one by either");
    }
    let source = match (peek("vendorid"), peek("productid"), peek("hostbus"), peek("hostaddr"), place) {
        (Some(vendor), Some(product), ..) => {
            let number = |text: &str| u16::try_from(table::number(text)?).ok();
            match (number(vendor), number(product)) {
                (Some(vendor), Some(product)) => by_id(&format!("{vendor:04x}"), &format!("{product:04x}")),
                _ => return draft.refuse(index, "its ids are not numbers, and QEMU refuses them", USB_ID_REMEDY),
            }
        }
        (_, _, Some(bus), Some(address), _) => {
            let (bus, address) = (bus.to_owned(), address.to_owned());
            let Some((bus, device)) = place_of(draft, index, &bus, &address) else { return };
            by_place(bus, device)
        }
        // The kernel's names of the nodes have three digits.
        (.., Some((Some(bus), device))) => match (bus.parse(), device.parse()) {
            (Ok(bus), Ok(device)) => by_place(bus, device),
            _ => return draft.keep(index, "its path is not that of a USB device"),
        },
        _ => return draft.keep(index, "it selects a device by port; libvirt selects one by its ids, or by bus and device number"),
    };
    let mut hostdev = hostdev(source);
    draft.fill(index, "hostdev usb", &mut hostdev);
    draft.native(index, "<hostdev type='usb'>");
    draft.finish(index, hostdev);
}
