//! The small devices in KubeVirt's terms: display, sound, input, TPM, serial port and the like.

use serde_json::{Map, Value, json};

use super::account::Account;
use crate::xml::Element;

/// Adds the small devices by name; the account reports those that are not handled here.
pub(super) fn others(devices: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let mut inputs = Vec::new();
    for device in devices.children() {
        let attribute = |name: &str| device.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
        match device.name() {
            "tpm" if !into.contains_key("tpm") => tpm(device, into, account),
            "rng" if attribute("model") == "virtio" && !into.contains_key("rng") => rng(device, into, account),
            "sound" if !into.contains_key("sound") => sound(device, into, account),
            "audio" if attribute("type") == "none" => {
                account.covered_with(device, &["type"]);
            }
            "watchdog" => watchdog(device, into, account),
            "input" => input(device, &mut inputs, account),
            "hostdev" => match attribute("type").as_str() {
                "usb" => {
                    account.unsupported(device, "USB devices of the host: an administrator may list them under permittedHostDevices.usb");
                }
                "mdev" => account.unsupported(
                    device,
                    "the mediated device: an administrator may list its type under permittedHostDevices.mediatedDevices",
                ),
                _ => {}
            },
            "shmem" => account.unsupported(device, "shared memory (Looking Glass)"),
            "filesystem" => account.unsupported(device, "shared folders: virtiofs needs a claim or a ConfigMap"),
            "redirdev" => account.unsupported(device, "USB redirection by SPICE"),
            "channel" if attribute("type") == "spicevmc" => {
                account.unsupported(device, "the channel of SPICE's agent: a cluster has VNC only");
            }
            "channel" => agent(device, account),
            "iommu" => account.unsupported(device, "an IOMMU in the guest"),
            _ => {}
        }
    }
    if !inputs.is_empty() {
        into.insert("inputs".into(), inputs.into());
    }
    screen(devices, into, account);
    into.insert("autoattachSerialConsole".into(), serial(devices, account).into());
    let balloon = devices.child("memballoon");
    let is_there = balloon.is_none_or(|balloon| balloon.attribute("model").is_none_or(|model| model != "none"));
    if let Some(balloon) = balloon {
        account.covered(balloon);
        account.one_of(balloon, "model", &["none", "virtio"]);
    }
    into.insert("autoattachMemBalloon".into(), is_there.into());
}

/// KubeVirt has emulated TPMs of version 2.0; those that store their state have the CRB interface.
fn tpm(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let Some(backend) = device.child("backend") else { return };
    let is = |name: &str, value: &str| backend.attribute(name).is_some_and(|own| own == value);
    if !is("type", "emulator") {
        return account.unsupported(device, "a TPM that is not emulated: a cluster has emulated ones only");
    }
    if backend.attribute("version").is_some() && !is("version", "2.0") {
        return account.unsupported(device, "a TPM of another version: a cluster has 2.0 only");
    }
    into.insert("tpm".into(), json!({"persistent": true}));
    account.covered(device);
    account.covered_with(backend, &["type", "version"]);
    account.one_of(backend, "persistent_state", &["yes"]);
    if device.attribute("model").is_none() {
        account.name("the interface of the TPM, which is not set: a cluster has tpm-crb");
    } else if account.one_of(device, "model", &["tpm-crb"]).is_none() {
        account.unsupported_attribute(device, "model", "the interface of the TPM; a cluster has tpm-crb");
    }
    account.name("the state of the TPM: a cluster starts with a new TPM");
}

/// KubeVirt's device uses the node's random bytes.
fn rng(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    into.insert("rng".into(), json!({}));
    account.covered_with(device, &["model"]);
    let Some(backend) = device.child("backend") else { return };
    let is_kernel = matches!(backend.text(), "" | "/dev/random" | "/dev/urandom");
    if is_kernel && account.one_of(backend, "model", &["random", "builtin"]).is_some() {
        account.covered(backend);
        account.text(backend);
    } else {
        account.unsupported(backend, "the source of its random bytes: the manifest has the node's kernel");
    }
}

fn sound(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let model = match device.attribute("model").as_deref() {
        Some("ac97") => "ac97",
        Some("ich9") => "ich9",
        Some("ich6") => {
            account.unsupported_attribute(device, "model", "the manifest has ich9");
            "ich9"
        }
        _ => return,
    };
    account.covered(device);
    account.one_of(device, "model", &[model]);
    into.insert("sound".into(), json!({"name": "sound", "model": model}));
}

fn watchdog(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let action = device.attribute("action").map_or_else(|| "reset".to_owned(), std::borrow::Cow::into_owned);
    match device.attribute("model").as_deref() {
        Some("i6300esb") if !into.contains_key("watchdog") && ["reset", "poweroff", "shutdown"].contains(&action.as_str()) => {
            into.insert("watchdog".into(), json!({"name": "watchdog", "i6300esb": {"action": action}}));
        }
        // Part of the q35 machine, in a cluster too.
        Some("itco") if action == "reset" => {}
        _ => return account.unsupported(device, "the watchdog"),
    }
    account.covered_with(device, &["model", "action"]);
}

fn input(device: Element<'_>, inputs: &mut Vec<Value>, account: &mut Account) {
    let attribute = |name: &str| device.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
    match (attribute("type").as_str(), attribute("bus").as_str()) {
        ("tablet", bus @ ("usb" | "virtio")) => {
            inputs.push(json!({"name": format!("tablet{}", inputs.len()), "type": "tablet", "bus": bus}));
        }
        // Parts of the machine, in a cluster too.
        ("keyboard" | "mouse", "ps2") => {}
        ("evdev", _) => return account.unsupported(device, "the host's keyboard and mouse (evdev): nobody sits at a node"),
        _ => return account.unsupported(device, "KubeVirt has no such input device"),
    }
    account.covered_with(device, &["type", "bus"]);
}

/// A cluster gives each guest a channel to its agent.
fn agent(device: Element<'_>, account: &mut Account) {
    let Some(target) = device.child("target") else { return };
    let is_agent = target.attribute("name").as_deref() == Some("org.qemu.guest_agent.0");
    if is_agent && account.one_of(device, "type", &["unix"]).is_some() && account.one_of(target, "type", &["virtio"]).is_some() {
        account.covered(device);
        account.covered_with(target, &["name", "state"]);
    }
}

/// Whether it has a display, which a cluster shows over VNC.
fn screen(devices: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let mut models = devices.children_named("video").filter_map(|video| video.child("model")).peekable();
    let is_screen = |model: Element<'_>| model.attribute("type").is_none_or(|kind| kind != "none");
    let has_screen = if models.peek().is_some() { models.any(is_screen) } else { devices.child("graphics").is_some() };
    for (index, video) in devices.children_named("video").enumerate() {
        let Some(model) = video.child("model") else { continue };
        if index > 0 {
            account.unsupported(video, "an additional display");
            continue;
        }
        account.covered(video);
        if has_screen {
            account.unsupported(model, "the model of its graphics: the cluster chooses it (devices.video.type if VideoConfig is on)");
        } else {
            account.covered_with(model, &["type"]);
            account.one_of(model, "primary", &["yes"]);
        }
    }
    let mut has_vnc = false;
    for graphics in devices.children_named("graphics") {
        if !has_screen {
            account.unsupported(graphics, "access to its display: the manifest has no display");
        } else if !has_vnc && account.one_of(graphics, "type", &["vnc"]).is_some() {
            account.covered(graphics);
            has_vnc = true;
        } else {
            account.unsupported(graphics, "access to its display: a cluster has VNC only");
        }
    }
    into.insert("autoattachGraphicsDevice".into(), has_screen.into());
}

/// Whether it has the first serial port, which a cluster shows as its console. libvirt lists it twice, as
/// `<serial>` and as `<console>`.
fn serial(devices: Element<'_>, account: &mut Account) -> bool {
    let is_first = |device: &Element<'_>| {
        let target = device.child("target");
        let has = |name: &str, values: &[&str]| {
            target.and_then(|target| target.attribute(name)).is_none_or(|value| values.contains(&value.as_ref()))
        };
        device.attribute("type").as_deref() == Some("pty") && has("port", &["0"]) && has("type", &["serial", "isa-serial"])
    };
    let mut is_there = false;
    for name in ["serial", "console"] {
        let Some(device) = devices.children_named(name).find(is_first) else { continue };
        account.covered_with(device, &["type"]);
        is_there = true;
    }
    is_there
}
