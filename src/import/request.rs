//! What of an imported domain a request of `vgapt define` can say.

use crate::domain::{GpuChoice, Network, Request, Sound, Toggle};
use crate::model::{PciAddress, Size, UsbId};
use crate::xml::{Document, Element};

/// The request, and in words what it cannot say.
pub fn request_of(domain: &Document) -> (Request, Vec<String>) {
    let root = domain.root();
    let text = |path: &str| root.at(path).map(|element| element.text().to_owned()).filter(|text| !text.is_empty());
    let mut request = Request {
        memory: root.child("memory").and_then(|memory| memory.text().parse().ok()).map(Size::from_kib),
        cpus: text("vcpu").and_then(|count| count.parse().ok()),
        hugepages: root.at("memoryBacking/hugepages").is_some(),
        loader: text("os/loader"),
        nvram_template: text("os/nvram").or_else(|| root.at("os/nvram")?.attribute("template").map(std::borrow::Cow::into_owned)),
        emulator: text("devices/emulator"),
        ..Request::default()
    };
    let mut beyond: Vec<String> = Vec::new();
    for device in root.child("devices").into_iter().flat_map(Element::children) {
        let said = match device.name() {
            "disk" => disk(device, &mut request),
            "hostdev" => hostdev(device, &mut request),
            "input" => input(device, &mut request),
            "interface" => interface(device, &mut request),
            "audio" => audio(device, &mut request),
            // A request that says where sound goes brings the card; the templates bring the others.
            "sound" | "emulator" | "controller" | "video" | "memballoon" => true,
            _ => false,
        };
        if !said {
            beyond.push(format!("<{}>", device.name()));
        }
    }
    if root.at("devices/sound").is_some() && request.extras.sound.is_none() && !beyond.iter().any(|known| known == "<audio>") {
        beyond.push("<sound>".into());
    }
    if root.at("devices/interface").is_none() {
        request.extras.network = Some(Network::None);
    }
    let others = root.children().filter(|child| ["qemu:commandline", "qemu:override", "iothreads", "sysinfo"].contains(&child.name()));
    beyond.extend(others.map(|child| format!("<{}>", child.name())));
    beyond.sort();
    beyond.dedup();
    (request, beyond)
}

fn input(input: Element<'_>, request: &mut Request) -> bool {
    let Some(source) = input.child("source").filter(|_| input.attribute("type").as_deref() == Some("evdev")) else {
        // The templates bring a tablet and a keyboard where one is needed.
        return matches!(input.attribute("type").as_deref(), Some("tablet" | "keyboard" | "mouse"));
    };
    let Some(device) = source.attribute("dev") else { return false };
    request.extras.evdev.push(device.into_owned());
    if let Some(keys) = source.attribute("grabToggle") {
        let toggle = <Toggle as clap::ValueEnum>::from_str(&keys, false).ok();
        request.extras.evdev_toggle = toggle.or(request.extras.evdev_toggle);
        return toggle.is_some();
    }
    true
}

/// A request has one network.
fn interface(interface: Element<'_>, request: &mut Request) -> bool {
    if request.extras.network.is_some() {
        return false;
    }
    let bridge = interface.child("source").and_then(|source| source.attribute("bridge"));
    let network = match (interface.attribute("type").as_deref(), bridge) {
        (Some("user"), _) => Network::User,
        (Some("bridge"), Some(bridge)) => Network::Bridge(bridge.into_owned()),
        _ => return false,
    };
    request.extras.network = Some(network);
    true
}

fn audio(audio: Element<'_>, request: &mut Request) -> bool {
    let sound = match audio.attribute("type").as_deref() {
        Some("pulseaudio") => Sound::PulseAudio,
        Some("pipewire") => Sound::PipeWire,
        // The card stays, and nothing is heard.
        Some("none") => return true,
        _ => return false,
    };
    let is_first = request.extras.sound.is_none();
    request.extras.sound = request.extras.sound.or(Some(sound));
    is_first
}

fn disk(disk: Element<'_>, request: &mut Request) -> bool {
    let source = disk.child("source").and_then(|source| source.attribute("file").or_else(|| source.attribute("dev")));
    let Some(path) = source.map(std::borrow::Cow::into_owned) else { return false };
    match disk.attribute("device").as_deref() {
        Some("cdrom") if path.contains("virtio") && request.virtio_iso.is_none() => request.virtio_iso = Some(path),
        Some("cdrom") if request.cdrom.is_none() => request.cdrom = Some(path),
        Some("disk") => request.disk.push(path),
        _ => return false,
    }
    true
}

fn hostdev(hostdev: Element<'_>, request: &mut Request) -> bool {
    if hostdev.attribute("type").as_deref() == Some("usb") {
        let id = |name: &str| {
            hostdev.at(&format!("source/{name}")).and_then(|part| part.attribute("id").map(|id| id.trim_start_matches("0x").to_owned()))
        };
        let known = id("vendor").zip(id("product")).and_then(|(vendor, product)| format!("{vendor}:{product}").parse::<UsbId>().ok());
        request.usb.extend(known);
        return known.is_some();
    }
    let address = hostdev.at("source/address").and_then(|address| PciAddress::of_attributes(|name| address.attribute(name)));
    let Some(address) = address else { return false };
    // The first function of what has several is a card, and `define` finds the rest of it.
    let is_first = hostdev.child("address").is_some_and(|guest| guest.attribute("multifunction").is_some());
    let belongs = request.gpu.iter().any(|gpu| matches!(gpu, GpuChoice::At(card) if card.same_slot(address)));
    if is_first {
        request.gpu.push(GpuChoice::At(address));
    } else if !belongs {
        request.pci.push(address);
    }
    true
}
