//! The part of an imported domain that a `vgapt define` request can express.

use crate::domain::{GpuChoice, Network, Request, Sound, Toggle};
use crate::domain_xml::{Disk, HostDevice, Interface, devices, host_device, memory};
use crate::xml::{Document, Element};

/// The request, and the elements that it cannot express.
pub fn request_of(domain: &Document) -> (Request, Vec<String>) {
    let root = domain.root();
    let text = |path: &str| root.at(path).map(|element| element.text().to_owned()).filter(|text| !text.is_empty());
    let mut request = Request {
        memory: memory(root),
        cpus: text("vcpu").and_then(|count| count.parse().ok()),
        hugepages: root.at("memoryBacking/hugepages").is_some(),
        loader: text("os/loader"),
        nvram_template: text("os/nvram").or_else(|| root.at("os/nvram")?.attribute("template").map(std::borrow::Cow::into_owned)),
        emulator: text("devices/emulator"),
        ..Request::default()
    };
    let mut unsupported: Vec<String> = Vec::new();
    for device in devices(root) {
        let said = match device.name() {
            "disk" => disk(&Disk::of(device), &mut request),
            "hostdev" => hostdev(device, &mut request),
            "input" => input(device, &mut request),
            "interface" => network(Interface::of(device), &mut request),
            "audio" => audio(device, &mut request),
            // A request with a sound backend adds the sound card; the templates add the others.
            "sound" | "emulator" | "controller" | "video" | "memballoon" => true,
            _ => false,
        };
        if !said {
            unsupported.push(format!("<{}>", device.name()));
        }
    }
    if root.at("devices/sound").is_some() && request.extras.sound.is_none() && !unsupported.iter().any(|known| known == "<audio>") {
        unsupported.push("<sound>".into());
    }
    if root.at("devices/interface").is_none() {
        request.extras.network = Some(Network::None);
    }
    let others = root.children().filter(|child| ["qemu:commandline", "qemu:override", "iothreads", "sysinfo"].contains(&child.name()));
    unsupported.extend(others.map(|child| format!("<{}>", child.name())));
    unsupported.sort();
    unsupported.dedup();
    (request, unsupported)
}

fn input(input: Element<'_>, request: &mut Request) -> bool {
    let Some(source) = input.child("source").filter(|_| input.attribute("type").as_deref() == Some("evdev")) else {
        // The templates add a tablet and a keyboard where one is needed.
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

fn audio(audio: Element<'_>, request: &mut Request) -> bool {
    let sound = match audio.attribute("type").as_deref() {
        Some("pulseaudio") => Sound::PulseAudio,
        Some("pipewire") => Sound::PipeWire,
        // The guest has the sound card, without output.
        Some("none") => return true,
        _ => return false,
    };
    let is_first = request.extras.sound.is_none();
    request.extras.sound = request.extras.sound.or(Some(sound));
    is_first
}

/// A request has one network.
fn network(card: Interface, request: &mut Request) -> bool {
    if request.extras.network.is_some() {
        return false;
    }
    let network = match (card.kind.as_str(), card.bridge) {
        ("user", _) => Network::User,
        ("bridge", Some(bridge)) => Network::Bridge(bridge),
        _ => return false,
    };
    request.extras.network = Some(network);
    true
}

fn disk(disk: &Disk<'_>, request: &mut Request) -> bool {
    let Some(path) = disk.path().map(str::to_owned) else { return false };
    match disk.kind.as_str() {
        "cdrom" if path.contains("virtio") && request.virtio_iso.is_none() => request.virtio_iso = Some(path),
        "cdrom" if request.cdrom.is_none() => request.cdrom = Some(path),
        "disk" => request.disk.push(path),
        _ => return false,
    }
    true
}

fn hostdev(hostdev: Element<'_>, request: &mut Request) -> bool {
    let address = match host_device(hostdev) {
        Some(HostDevice::Function(address)) => address,
        Some(HostDevice::Usb(id)) => {
            request.usb.push(id);
            return true;
        }
        _ => return false,
    };
    // The first function of a multifunction device is taken for a card; `define` adds the other functions.
    let is_first = hostdev.child("address").is_some_and(|guest| guest.attribute("multifunction").is_some());
    let belongs = request.gpu.iter().any(|gpu| matches!(gpu, GpuChoice::At(card) if card.same_slot(address)));
    if is_first {
        request.gpu.push(GpuChoice::At(address));
    } else if !belongs {
        request.pci.push(address.into());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_has_its_unit() {
        let memory = |text: &str| request_of(&Document::parse(&format!("<domain>{text}</domain>")).unwrap()).0.memory;
        assert_eq!(memory("<memory unit='MiB'>128</memory>"), "128M".parse().ok());
        assert_eq!(memory("<memory>131072</memory>"), "128M".parse().ok());
    }
}
