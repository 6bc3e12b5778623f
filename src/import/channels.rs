//! Serial lines, channels to the guest, and the TPM.

use super::draft::Draft;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    lines(draft);
    devices(draft);
    ports(draft);
    tpm(draft);
}

fn lines(draft: &mut Draft) {
    for index in draft.named(&["serial", "parallel"]) {
        let value = draft.options[index].value().to_owned();
        let name = if draft.options[index].name == "serial" { "serial" } else { "parallel" };
        let kind = value.split([':', ',']).next().unwrap_or_default();
        let file = value.strip_prefix("file:").map(|path| Fragment::new("source").with("path", path));
        draft.options[index].props = super::props::Props::default();
        match kind {
            "none" | "null" => draft.native(index, &format!("no <{name}>")),
            "stdio" | "mon" | "pty" | "vc" => {
                draft.device(Fragment::new(name).with("type", "pty"));
                draft.native(index, &format!("<{name} type='pty'>: virsh console"));
            }
            "file" => {
                draft.device(Fragment::new(name).with("type", "file").child_if(file));
                draft.native(index, &format!("<{name} type='file'>"));
            }
            _ => draft.keep(index, "this backend is not converted"),
        }
    }
}

/// Serial ports given as devices, if libvirt has an element for their backend.
fn devices(draft: &mut Draft) {
    for index in draft.devices(&["isa-serial"]) {
        let id = draft.options[index].props.peek("chardev").unwrap_or_default().to_owned();
        let Some(chardev) = draft.with("chardev", "id", &id) else { continue };
        let serial = match draft.options[chardev].props.peek("backend") {
            Some("pty" | "stdio") => Fragment::new("serial").with("type", "pty"),
            Some("file") => {
                let path = draft.take(chardev, "path").unwrap_or_default();
                Fragment::new("serial").with("type", "file").child(Fragment::new("source").with("path", path))
            }
            Some("socket") if draft.options[chardev].props.peek("path").is_some() => {
                let is_server = draft.flag(chardev, "server") == Some(true);
                let path = draft.take(chardev, "path").unwrap_or_default();
                let mode = if is_server { "bind" } else { "connect" };
                Fragment::new("serial").with("type", "unix").child(Fragment::new("source").with("mode", mode).with("path", path))
            }
            _ => continue,
        };
        draft.device(serial.child(Fragment::new("target").with("type", "isa-serial")));
        draft.options[chardev].props.ignore(&["backend", "id", "wait", "nowait", "signal", "mux"]);
        draft.options[index].props.ignore(&["driver", "chardev", "index"]);
        draft.ignore_address(index);
        draft.native(index, "<serial>");
        draft.native(chardev, "<serial>");
    }
}

/// Ports on the virtio serial controller, with the character devices behind them.
fn ports(draft: &mut Draft) {
    for (number, index) in
        draft.devices(&["virtio-serial-pci", "virtio-serial", "virtio-serial-pci-non-transitional"]).into_iter().enumerate()
    {
        let model = draft.virtio_model(index);
        draft.take(index, "driver");
        let id = draft.take(index, "id").unwrap_or_default();
        draft.renamed.push((id, format!("virtio-serial{number}")));
        let mut controller = Fragment::new("controller").with("type", "virtio-serial").with("index", number);
        if model != "virtio" {
            controller = controller.with("model", model);
        }
        for (name, attribute) in [("max_ports", "ports"), ("vectors", "vectors")] {
            if let Some(value) = draft.take(index, name) {
                controller = controller.with(attribute, value);
            }
        }
        draft.device(controller);
        draft.ignore_address(index);
        draft.native(index, "<controller type='virtio-serial'>");
    }
    for index in draft.devices(&["virtserialport", "usb-redir"]) {
        let is_redirection = draft.options[index].props.peek("driver") == Some("usb-redir");
        let id = draft.options[index].props.peek("chardev").unwrap_or_default().to_owned();
        let Some(chardev) = draft.with("chardev", "id", &id) else {
            draft.keep(index, "its backend was not found in the script");
            continue;
        };
        let backend = draft.options[chardev].props.peek("backend").unwrap_or_default().to_owned();
        if backend == "spicevmc" && !draft.has_option("spice") {
            draft.drop(index, "it needs SPICE, which the script does not use");
            draft.drop(chardev, "it needs SPICE, which the script does not use");
            continue;
        }
        let kind = match backend.as_str() {
            "spicevmc" => "spicevmc",
            "socket" => "unix",
            "qemu-vdagent" => "qemu-vdagent",
            _ => {
                draft.keep(index, "libvirt has no element for its backend");
                draft.keep(chardev, "libvirt has no element for this");
                continue;
            }
        };
        let name = draft.take(index, "name").unwrap_or_default();
        if is_redirection {
            draft.device(Fragment::new("redirdev").with("bus", "usb").with("type", kind));
        } else {
            let channel = Fragment::new("channel").with("type", kind);
            let mouse = draft.flag(chardev, "mouse");
            let clipboard = draft.flag(chardev, "clipboard");
            let mut inner: Vec<Fragment> = Vec::new();
            if kind == "qemu-vdagent" {
                let word = |is_on: Option<bool>| if is_on == Some(true) { "yes" } else { "no" };
                let source = Fragment::new("source").child(Fragment::new("clipboard").with("copypaste", word(clipboard)));
                inner.push(source.child(Fragment::new("mouse").with("mode", if mouse == Some(true) { "client" } else { "server" })));
            }
            let channel = inner.into_iter().fold(channel, Fragment::child);
            draft.device(channel.child(Fragment::new("target").with("type", "virtio").with("name", name)));
        }
        draft.options[chardev].props.ignore(&["backend", "id", "path", "server", "wait", "nowait", "name", "debug"]);
        draft.options[index].props.ignore(&["driver", "chardev", "nr", "filter"]);
        draft.ignore_address(index);
        draft.native(index, if is_redirection { "<redirdev>" } else { "<channel>" });
        draft.native(chardev, "<channel>: libvirt creates the socket itself");
    }
}

fn tpm(draft: &mut Draft) {
    for index in draft.devices(&["tpm-tis", "tpm-crb"]) {
        let id = draft.options[index].props.peek("tpmdev").unwrap_or_default().to_owned();
        let Some(backend) = draft.with("tpmdev", "id", &id) else {
            draft.keep(index, "its backend was not found in the script");
            continue;
        };
        let model = draft.take(index, "driver").unwrap_or_default();
        let kind = draft.take(backend, "type").unwrap_or_default();
        let path = draft.take(backend, "path");
        let chardev = draft.take(backend, "chardev").and_then(|id| draft.with("chardev", "id", &id));
        let element = if kind == "passthrough" {
            let device = Fragment::new("device").with("path", path.unwrap_or_else(|| "/dev/tpm0".into()));
            Fragment::new("backend").with("type", "passthrough").child(device)
        } else {
            draft.notes.push("libvirt runs its own swtpm; the state of the old one (keys, BitLocker) stays in its directory".into());
            Fragment::new("backend").with("type", "emulator").with("version", "2.0")
        };
        draft.device(Fragment::new("tpm").with("model", &model).child(element));
        if let Some(chardev) = chardev {
            draft.drop(chardev, "libvirt runs its own swtpm");
        }
        draft.options[backend].props.ignore(&["id", "cancel-path"]);
        draft.take(index, "tpmdev");
        draft.ignore_address(index);
        draft.native(index, "<tpm>");
        draft.native(backend, "<tpm><backend>");
    }
}
