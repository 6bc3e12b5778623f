//! Checks of a request. Only what it changes is checked, because the domain may have been edited since the last
//! request.

use super::{devices, files as file_checks, idle, resources};
use crate::domain::base::Base;
use crate::domain::edit::Change;
use crate::domain::request::Request;
use crate::domain::request::extras::{Extras, Sound};
use crate::domain::request::files::{bridge_path, folder, interface_path, mdev_path};
use crate::domain::request::gpu::GpuChoice;
use crate::domain::request::network::Network;
use crate::domain::spec::{Disk, Spec};
use crate::domain_xml::{Interface, interfaces, pci_hostdevs, place};
use crate::model::{Files, Finding, Host, Reading, Severity, is_uuid, shell_word};
use crate::passthrough::{self, Assessment};
use crate::xml::{Document, is_xml};

/// Virtio's specification, file system device: `tag` of `virtio_fs_config`.
const LONGEST_TAG: usize = 36;

/// Problems with the changes to be written.
pub(crate) fn of_request(base: &Base, wanted: &Request, (spec, domain): (&Spec, &Document), host: &Host, files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(other_system(base));
    findings.extend(spec.usb.iter().flatten().filter_map(|id| devices::usb(*id, host)));
    findings.extend(spec.usb.as_deref().and_then(|ids| devices::of_keyboard(ids, host, &files.uses)));
    findings.extend(words(base, wanted));
    findings.extend(virtualization_off(base, host));
    findings.extend(networks(base, wanted, files));
    findings.extend(queues(base, wanted));
    findings.extend(of_cards(base, wanted, host));
    findings.extend(elsewhere(base, wanted, domain, host));
    let written = written_files(spec);
    findings.extend(written.iter().filter_map(|path| file_checks::file(path, wanted, files)));
    findings.extend(file_checks::unknown_files(&written, files));
    findings.extend(spec.firmware.as_ref().and_then(|firmware| file_checks::pair(firmware, files)));
    findings.extend(resources::memory(base, spec, domain, host));
    findings.extend(resources::processors(spec, host));
    findings.extend(audio_alone(wanted, host));
    findings.extend(idle::handover(base, wanted, host));
    if wanted.handover && base.differs(|request| request.handover) {
        findings.extend(devices::of_handover(files.systemd));
    }
    findings.extend(spec.disks.iter().flatten().flat_map(|disk| file_checks::disk(disk, files)));
    findings.extend(folders(base, wanted, files));
    findings.extend(share_names(base, wanted));
    findings.extend(one_disk_twice(base, wanted));
    findings.extend(idle::options(base, wanted, spec));
    findings.extend(missing_devices(&new_extras(base, wanted), files));
    findings.extend(on_the_host(&new_extras(base, wanted)));
    findings.extend(of_looking_glass(&new_extras(base, wanted), spec, host));
    findings
}

/// The files that are added to the domain.
fn written_files(spec: &Spec) -> Vec<String> {
    let disks = spec.disks.iter().flatten().map(|disk: &Disk| disk.path.clone());
    let cdroms = spec.cdroms.iter().filter_map(|cdrom| cdrom.image.clone());
    let rom = spec.rom.iter().filter_map(|(_, file)| file.clone());
    let firmware = spec.firmware.iter().flat_map(|firmware| [firmware.code.clone(), firmware.vars.clone()]);
    disks.chain(cdroms).chain(rom).chain(firmware).collect()
}

/// `--os` selects the template of a new domain; an existing domain no longer has a template.
fn other_system(base: &Base) -> Option<Finding> {
    let last = base.last.as_ref().and_then(|last| last.request.os.clone());
    let now = base.wanted.os.clone();
    let other = now.is_some() && (base.last.is_none() || last.unwrap_or_default() != now.unwrap_or_default());
    (other && !base.is_new).then(|| {
        Finding::error(
            "other-system",
            "--os applies only to a new domain, and this one exists",
            "recreate it with --replace, or leave --os out",
        )
    })
}

/// libvirt refuses a title that is empty or has several lines; a description may have several.
fn words(base: &Base, wanted: &Request) -> Vec<Finding> {
    let is_text = |text: &str, allowed: &[char]| {
        !text.trim().is_empty() && is_xml(text) && !text.contains(|c: char| c.is_control() && !allowed.contains(&c))
    };
    let title = wanted.title.as_ref().filter(|_| base.differs(|request| request.title.clone()));
    let title = title.filter(|title| !is_text(title, &[])).map(|title| {
        let message = format!("{title:?} cannot be the title: it has to be one line of text without control characters");
        Finding::error("not-a-title", message, "use another one: --title TEXT; or none: --no-title")
    });
    let description = wanted.description.as_ref().filter(|_| base.differs(|request| request.description.clone()));
    let description = description.filter(|text| !is_text(text, &['\n', '\t'])).map(|text| {
        let message = format!("{text:?} cannot be the description: it has to be text without control characters");
        Finding::error("not-a-description", message, "use another one: --description TEXT; or none: --no-description")
    });
    title.into_iter().chain(description).collect()
}

/// The shared folders that this request adds.
fn folders(base: &Base, wanted: &Request, files: &Files) -> Vec<Finding> {
    let new = new_extras(base, wanted);
    new.share.iter().chain(&new.share_smb).filter_map(|share| file_checks::folder(folder(share).0, files)).collect()
}

/// The names by which the guest knows its shared folders.
fn share_names(base: &Base, wanted: &Request) -> Vec<Finding> {
    if !base.differs(|request| request.extras.share.clone()) {
        return Vec::new();
    }
    let names: Vec<&str> = wanted.extras.share.iter().map(|share| folder(share).1).collect();
    let of = |(index, name): (usize, &&str)| {
        if names[..index].contains(name) {
            let message = format!("two shared folders have the name '{name}'");
            return Some(Finding::error("same-share", message, "use another name for one of them: --share DIR=NAME"));
        }
        (name.len() > LONGEST_TAG).then(|| {
            let message = format!("the name '{name}' of a shared folder is too long: the limit is {LONGEST_TAG} bytes");
            Finding::error("long-share", message, "use a shorter name: --share DIR=NAME")
        })
    };
    names.iter().enumerate().filter_map(of).collect()
}

/// The same disk twice: the guest would see two disks and destroy the data.
fn one_disk_twice(base: &Base, wanted: &Request) -> Option<Finding> {
    let twice = |index: usize, disk: &String| wanted.disk[..index].contains(disk);
    let (_, disk) = wanted.disk.iter().enumerate().find(|(index, disk)| twice(*index, disk))?;
    let message = format!("the disk {disk} is given twice");
    base.differs(|request| request.disk.clone()).then(|| Finding::error("one-disk-twice", message, "name it once"))
}

/// A KVM domain on a host whose virtualization is switched off. Not only a warning: without KVM, QEMU's capabilities lack this type
/// of domain, and libvirt refuses to define one (its `qemu_validate.c`: "does not support virt type 'kvm'"). With `--force`
/// libvirt decides, because the domain may be for a host that is set up later.
fn virtualization_off(base: &Base, host: &Host) -> Option<Finding> {
    let is_for_kvm = base.domain.root().attribute("type").as_deref() == Some("kvm");
    let asked = base.is_new || base.differs(|request| request.gpu.clone());
    let finding = passthrough::of_host(host).into_iter().find(|finding| finding.code == "virtualization-off")?;
    (is_for_kvm && asked).then_some(Finding { severity: Severity::Blocked, ..finding })
}

/// The warnings about newly passed cards, as `vgapt list` and `vgapt check` show them.
fn of_cards(base: &Base, wanted: &Request, host: &Host) -> Vec<Finding> {
    if !base.differs(|request| request.gpu.clone()) {
        return Vec::new();
    }
    let matters = |code: &str| match code {
        // Reported with the functions already, with what the guest lacks, or irrelevant for a domain.
        "no-group" | "function-without-group" | "bmc" | "twins" | "host-blind" | "muxless" | "no-outputs" => false,
        // What the remedy recommends is already in the request.
        "apu" | "boot-display" => wanted.extras.rom.is_none(),
        _ => true,
    };
    let is_wanted = |card: &Assessment| wanted.gpu.contains(&GpuChoice::At(card.address));
    let cards = passthrough::assess(host).into_iter().filter(is_wanted);
    let said = cards.flat_map(|card| {
        let at = card.address.short();
        card.warnings.into_iter().filter(|warning| matters(warning.code)).map(move |mut warning| {
            warning.message = format!("{at}: {}", warning.message);
            warning
        })
    });
    said.collect()
}

/// The card whose ROM is given is not where that expects it.
fn elsewhere(base: &Base, wanted: &Request, domain: &Document, host: &Host) -> Option<Finding> {
    let rom = wanted.extras.rom.as_ref().filter(|_| base.differs(|request| (request.gpu.clone(), request.extras.rom.clone())))?;
    let passed = pci_hostdevs(domain.root()).map(|(hostdev, function)| (function, hostdev.child("address").and_then(place)));
    let (function, (bus, slot)) = passed
        .filter_map(|(function, there)| Some((function, there, passthrough::guest_place(host, function)?)))
        .find_map(|(function, there, expected)| (there != Some(expected)).then_some((function, expected)))?;
    let (name, uri) = (shell_word(&base.name), shell_word(&base.uri));
    Some(Finding::warning(
        "other-place",
        format!("{} is not at {bus:02x}:{slot:02x}.0 of the guest, where {rom} expects it: something else is there", function.short()),
        format!("give it that address, and what is there another one: virsh -c {uri} edit {name}; or define a new domain"),
    ))
}

/// Only a card that is connected through the kernel has several queues; with `user` QEMU does not start.
fn queues(base: &Base, wanted: &Request) -> Option<Finding> {
    let Extras { network, network_queues, .. } = &wanted.extras;
    let queues = network_queues.filter(|queues| *queues > 1)?;
    let differs = base.differs(|request| (request.extras.network.clone(), request.extras.network_queues));
    if !differs || network.as_ref().is_some_and(Network::has_queues) {
        return None;
    }
    let message = format!("{queues} queues need a network card that is connected through the kernel: nat, bridge or macvtap");
    Some(Finding::blocked("network-queues", message, "use --network nat; or --network-queues 1"))
}

/// The network that is requested, and libvirt's networks in the user's template.
fn networks(base: &Base, wanted: &Request, files: &Files) -> Vec<Finding> {
    let asked = wanted.extras.network.clone().filter(|_| base.differs(|request| request.extras.network.clone()));
    let is_of_libvirt = |interface: &Interface| base.is_new && interface.kind == "network";
    let brought = interfaces(base.domain.root()).filter(is_of_libvirt).filter_map(|interface| interface.source.map(Network::Nat));
    let mut all: Vec<Network> = Vec::new();
    for network in asked.into_iter().chain(brought) {
        if !all.contains(&network) {
            all.push(network);
        }
    }
    all.iter().filter_map(|asked| network(asked, files)).collect()
}

/// Does the network, bridge or interface exist, and is it active? libvirt checks this only when the domain starts.
fn network(asked: &Network, files: &Files) -> Option<Finding> {
    let is_missing = |path: &str| files.of(path).is_some_and(|facts| facts.exists == Some(false));
    let no_such =
        |what: &str, name: &str, remedy: String| Finding::blocked("no-such-network", format!("{what} {name} does not exist"), remedy);
    match asked {
        Network::Nat(name) => {
            let known = files.networks.as_ref()?;
            let Some((_, is_active)) = known.iter().find(|(known, _)| known == name) else {
                let there: Vec<&str> = known.iter().map(|(known, _)| known.as_str()).collect();
                let there = if there.is_empty() {
                    "libvirt has no networks".to_owned()
                } else {
                    format!("libvirt's networks are {}", there.join(", "))
                };
                return Some(no_such("libvirt network", name, format!("{there}; create one from a file with virsh net-define")));
            };
            (!is_active).then(|| {
                let word = shell_word(name);
                let remedy = format!("virsh net-start {word} && virsh net-autostart {word}");
                Finding::warning(
                    "network-inactive",
                    format!("the libvirt network {name} is not active; the domain does not start without it"),
                    remedy,
                )
            })
        }
        Network::Bridge(name) | Network::Macvtap(name) if is_missing(&interface_path(name)) => {
            Some(no_such("network interface", name, "list the interfaces: ip link".to_owned()))
        }
        Network::Bridge(name) if is_missing(&bridge_path(name)) => {
            let remedy = format!("create a bridge and add {name} to it, or use --network macvtap={name}");
            Some(Finding::blocked("no-bridge", format!("the network interface {name} is not a bridge"), remedy))
        }
        Network::Bridge(name) | Network::Macvtap(name) if files.of(&interface_path(name))?.is_up == Some(false) => Some(Finding::warning(
            "network-inactive",
            format!("the network interface {name} is not active; the guest has no connection without it"),
            format!("ip link set {} up", shell_word(name)),
        )),
        _ => None,
    }
}

/// Missing devices, which libvirt would report only at the start.
fn missing_devices(new: &Extras, files: &Files) -> Vec<Finding> {
    let is_missing = |path: &str| files.of(path).is_some_and(|facts| facts.exists == Some(false));
    let inputs = new.evdev.iter().filter(|path| is_missing(path)).map(|path| {
        Finding::blocked(
            "no-such-input",
            format!("input device {path} does not exist"),
            "plug it in; list the input devices: ls /dev/input/by-id",
        )
    });
    let moves = new.evdev.iter().filter(|path| path.starts_with("/dev/input/event")).map(|path| {
        let message = format!("{path} may name another device after the next boot of the host");
        Finding::warning("input-name-moves", message, "use its name in /dev/input/by-id: ls -l /dev/input/by-id")
    });
    let mediated = new.mdev.iter().filter_map(|uuid| {
        if !is_uuid(uuid) {
            let message = format!("'{uuid}' is not a valid UUID of a mediated device");
            return Some(Finding::error("no-uuid", message, "list the mediated devices: ls /sys/bus/mdev/devices"));
        }
        let remedy = format!(
            "create it: mdevctl start -u {uuid} -p PARENT --type TYPE (mdevctl types lists both; mdevctl define -u {uuid} --auto makes it persistent)"
        );
        is_missing(&mdev_path(uuid)).then(|| Finding::blocked("no-such-mdev", format!("mediated device {uuid} does not exist"), remedy))
    });
    inputs.chain(moves).chain(mediated).collect()
}

/// The devices that were not in the last request, so that hints about the host are shown only once.
fn new_extras(base: &Base, wanted: &Request) -> Extras {
    let mut extras = wanted.extras.clone();
    if let Some(last) = base.last.as_ref().map(|last| &last.request.extras) {
        extras.share.retain(|share| !last.share.contains(share));
        extras.share_smb.retain(|share| !last.share_smb.contains(share));
        extras.evdev.retain(|path| !last.evdev.contains(path));
        extras.mdev.retain(|uuid| !last.mdev.contains(uuid));
        extras.looking_glass = extras.looking_glass.filter(|screen| last.looking_glass != Some(*screen));
        extras.sound = extras.sound.filter(|sound| last.sound != Some(*sound));
    }
    extras
}

fn audio_alone(wanted: &Request, host: &Host) -> Option<Finding> {
    let audio = wanted.gpu_audio?;
    if wanted.gpu.is_empty() {
        return Some(Finding::warning(
            "audio-alone",
            format!("the audio function {} is ignored: no graphics card is passed", audio.short()),
            "name the card with --gpu",
        ));
    }
    (host.device(audio).is_none() && !host.pci.is_empty()).then(|| {
        Finding::error(
            "no-such-device",
            format!("PCI function {} does not exist", audio.short()),
            "run `vgapt list` to see the host's devices",
        )
    })
}

/// The changes that the host needs for these devices.
fn on_the_host(extras: &Extras) -> Vec<Finding> {
    let mut findings = Vec::new();
    for share in &extras.share_smb {
        let (folder, name) = folder(share);
        let at = match &extras.network {
            None | Some(Network::User) => "10.0.2.2".to_owned(),
            Some(Network::Nat(_)) => "the address of the network's bridge (192.168.122.1 for libvirt's default network)".to_owned(),
            Some(Network::Passt | Network::Bridge(_)) => "the host's address".to_owned(),
            Some(Network::Macvtap(_) | Network::None) => {
                "no address: with this network the guest cannot reach the host; use --network nat".to_owned()
            }
        };
        findings.push(Finding::warning(
            "samba",
            format!("{folder} is available in the guest only after the host's Samba shares it; libvirt cannot do that"),
            format!("run vgapt prepare --share-smb {share}; in the guest, open \\\\HOST\\{name}, where HOST is {at}"),
        ));
    }
    if let Some(sound) = extras.sound {
        findings.push(Finding::warning(
            "sound",
            format!("{} runs in the session of the logged-in user, but QEMU runs as another user", sound.word()),
            match sound {
                Sound::PipeWire => format!("{AS_YOU}, and set runtimeDir='/run/user/1000' in the domain's <audio>, with your number"),
                Sound::PulseAudio => {
                    format!("{AS_YOU}, and set serverName='/run/user/1000/pulse/native' in the domain's <audio>, with your number")
                }
            },
        ));
    }
    findings
}

/// Sound is that of a session, and QEMU is to run as the one who has it.
const AS_YOU: &str = "set user = \"YOU\" in /etc/libvirt/qemu.conf";

/// What Looking Glass needs besides the domain: on the host, and in the guest.
fn of_looking_glass(extras: &Extras, spec: &Spec, host: &Host) -> Vec<Finding> {
    let Some(screen) = extras.looking_glass else { return Vec::new() };
    let in_guest = Finding::warning(
        "looking-glass-guest",
        "the guest shows nothing in Looking Glass before its part is installed there, of the same version as the client on this host",
        format!(
            "in a guest with Windows, install Looking Glass with the driver for its shared memory (IVSHMEM): looking-glass.io/downloads{}",
            if extras.window().is_some() { "; until then the window of SPICE shows the guest" } else { "" }
        ),
    );
    let uses_module = spec.edits.iter().any(|edit| matches!(&edit.change, Change::Options { options, .. } if !options.is_empty()));
    if uses_module {
        return vec![in_guest];
    }
    let shared_memory = Finding::warning(
        "looking-glass",
        "/dev/shm/looking-glass belongs to QEMU's user, but the user who runs the Looking Glass client must be able to access it",
        "add `f /dev/shm/looking-glass 0660 YOU kvm -` to /etc/tmpfiles.d/10-looking-glass.conf, then run systemd-tmpfiles --create",
    );
    let has_module = host.kvmfr.module == Reading::Known(true) || matches!(host.kvmfr.node, Reading::Known(_));
    let module = has_module.then(|| {
        Finding::warning(
            "looking-glass-module",
            format!(
                "shared memory is used, although this host has Looking Glass's kernel module, which is faster: {}",
                host.kvmfr.missing(screen.mib()).join("; ")
            ),
            format!("vgapt prepare --looking-glass {screen}, then reboot, and define the domain again"),
        )
    });
    [shared_memory, in_guest].into_iter().chain(module).collect()
}
