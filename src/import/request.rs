//! The part of an imported domain that a `vgapt define` request can express.

use crate::domain::{Display, GpuChoice, Network, Request, Sound, Toggle, changes_in_full};
use crate::domain_xml::{Disk, HostDevice, Interface, devices, host_device, memory};
use crate::model::Host;
use crate::xml::{Document, Element};

/// The request.
pub fn request_of(domain: &Document) -> Request {
    let root = domain.root();
    let text = |path: &str| root.at(path).map(|element| element.text().to_owned()).filter(|text| !text.is_empty());
    let is_hidden = root.at("features/kvm/hidden").is_some_and(|hidden| hidden.attribute("state").as_deref() == Some("on"));
    let mut request = Request {
        memory: memory(root),
        cpus: text("vcpu").and_then(|count| count.parse().ok()),
        hugepages: root.at("memoryBacking/hugepages").is_some(),
        loader: text("os/loader"),
        nvram_template: text("os/nvram").or_else(|| root.at("os/nvram")?.attribute("template").map(std::borrow::Cow::into_owned)),
        emulator: text("devices/emulator"),
        ..Request::default()
    };
    request.tuning.hide_kvm = Some(is_hidden);
    for device in devices(root) {
        match device.name() {
            "disk" => disk(&Disk::of(device), &mut request),
            "hostdev" => hostdev(device, &mut request),
            "input" => input(device, &mut request),
            "interface" => network(device, &mut request),
            "audio" => audio(device, &mut request),
            "graphics" => window(device, &mut request),
            // The templates and the options above add the others, or the comparison of the two domains names them.
            _ => {}
        }
    }
    if root.at("devices/interface").is_none() {
        request.extras.network = Some(Network::None);
    }
    request
}

/// What of the script's machine differs in the one that `define` makes of the request, in words: first what is lost or otherwise, then
/// what is added, by elements of which each is named once.
pub fn beyond(script: &Document, request: &Document, host: &Host) -> Vec<String> {
    let mut changes = changes_in_full(script, request, host);
    // A new domain has its UUID and its name from libvirt and its user; the notes are for programs.
    changes.retain(|change| !["name ", "uuid ", "notes "].iter().any(|word| change.starts_with(word)));
    let (added, lost): (Vec<String>, Vec<String>) = changes.into_iter().partition(|change| change.ends_with(ADDED));
    let mut beyond: Vec<String> = Vec::new();
    for change in lost.into_iter().chain(added) {
        // Of `features/hyperv/relaxed state='on' added` the outer element is enough.
        let end = [ADDED, " removed"].into_iter().find(|end| change.ends_with(end));
        let path: Vec<&str> = change.split(' ').next().unwrap_or_default().split('/').collect();
        let named = match (end, path.as_slice()) {
            (Some(end), [one, two, _, ..]) => format!("{one}/{two}{end}"),
            (Some(end), ["qemu:override" | "qemu:commandline", ..]) => format!("{}{end}", path[0]),
            _ => change,
        };
        if !beyond.contains(&named) {
            beyond.push(named);
        }
    }
    beyond
}

/// How a change ends where something is only in the second domain.
const ADDED: &str = " added";

/// The first window is the guest's.
fn window(graphics: Element<'_>, request: &mut Request) {
    let kind = match graphics.attribute("type").as_deref() {
        Some("spice") => Display::Spice,
        Some("vnc") => Display::Vnc,
        _ => return,
    };
    request.extras.display.get_or_insert(kind);
}

fn input(input: Element<'_>, request: &mut Request) {
    // The templates add a tablet and a keyboard where one is needed.
    let Some(source) = input.child("source").filter(|_| input.attribute("type").as_deref() == Some("evdev")) else { return };
    let Some(device) = source.attribute("dev") else { return };
    request.extras.evdev.push(device.into_owned());
    let toggle = source.attribute("grabToggle").and_then(|keys| <Toggle as clap::ValueEnum>::from_str(&keys, false).ok());
    request.extras.evdev_toggle = toggle.or(request.extras.evdev_toggle);
}

fn audio(audio: Element<'_>, request: &mut Request) {
    let sound = match audio.attribute("type").as_deref() {
        Some("pulseaudio") => Sound::PulseAudio,
        Some("pipewire") => Sound::PipeWire,
        _ => return,
    };
    request.extras.sound.get_or_insert(sound);
}

/// A request has one network.
fn network(card: Element<'_>, request: &mut Request) {
    if request.extras.network.is_some() {
        return;
    }
    let is_passt = card.child("backend").is_some_and(|backend| backend.attribute("type").as_deref() == Some("passt"));
    let Interface { kind, source, .. } = Interface::of(card);
    request.extras.network = match (kind.as_str(), source) {
        ("user", _) => Some(if is_passt { Network::Passt } else { Network::User }),
        ("bridge", Some(bridge)) => Some(Network::Bridge(bridge)),
        ("network", Some(network)) => Some(Network::Nat(network)),
        ("direct", Some(interface)) => Some(Network::Macvtap(interface)),
        _ => return,
    };
    let queues = card.child("driver").and_then(|driver| driver.attribute("queues")).and_then(|queues| queues.parse().ok());
    request.extras.network_queues = queues;
}

fn disk(disk: &Disk<'_>, request: &mut Request) {
    let Some(path) = disk.path().map(str::to_owned) else { return };
    match disk.kind.as_str() {
        "cdrom" if path.contains("virtio") && request.virtio_iso.is_none() => request.virtio_iso = Some(path),
        "cdrom" if request.cdrom.is_none() => request.cdrom = Some(path),
        "disk" => request.disk.push(path),
        _ => {}
    }
}

fn hostdev(hostdev: Element<'_>, request: &mut Request) {
    let address = match host_device(hostdev) {
        Some(HostDevice::Function(address)) => address,
        Some(HostDevice::Usb(id)) => return request.usb.push(id),
        Some(HostDevice::Mediated(uuid)) => return request.extras.mdev.push(uuid),
        _ => return,
    };
    // The first function of a multifunction device is taken for a card; `define` adds the other functions.
    let is_first = hostdev.child("address").is_some_and(|guest| guest.attribute("multifunction").is_some());
    let belongs = request.gpu.iter().any(|gpu| matches!(gpu, GpuChoice::At(card) if card.same_slot(address)));
    if is_first {
        request.gpu.push(GpuChoice::At(address));
        let rom = hostdev.child("rom").and_then(|rom| rom.attribute("file")).map(std::borrow::Cow::into_owned);
        request.extras.rom = request.extras.rom.take().or(rom);
    } else if !belongs {
        request.pci.push(address.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_has_its_unit() {
        let memory = |text: &str| request_of(&Document::parse(&format!("<domain>{text}</domain>")).unwrap()).memory;
        assert_eq!(memory("<memory unit='MiB'>128</memory>"), "128M".parse().ok());
        assert_eq!(memory("<memory>131072</memory>"), "128M".parse().ok());
    }
}
