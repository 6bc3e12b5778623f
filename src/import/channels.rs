//! Serial lines, channels to the guest, and the TPM.

use super::draft::Draft;
use crate::xml::Fragment;

const NO_BACKEND: &str = "its backend was not found in the script";

pub(super) fn translate(draft: &mut Draft) {
    lines(draft);
    devices(draft);
    for (number, index) in draft.devices(&["controller virtio-serial"]).into_iter().enumerate() {
        let mut controller = Fragment::new("controller").with("type", "virtio-serial").with("index", number);
        let element = draft.element(index, "controller virtio-serial");
        for (name, value) in element.attributes().iter().filter(|(_, value)| value != "virtio") {
            controller = controller.with(name, value);
        }
        let id = draft.take(index, "id").unwrap_or_default();
        draft.renamed.push((id, format!("virtio-serial{number}")));
        draft.native(index, "<controller type='virtio-serial'>");
        draft.finish(index, controller);
    }
    for index in draft.devices(&["channel", "redirdev"]) {
        port(draft, index);
    }
    tpm(draft);
}

/// `-serial` and `-parallel`.
fn lines(draft: &mut Draft) {
    for index in draft.named(&["serial", "parallel"]) {
        let value = draft.whole(index);
        let name = draft.options[index].name.clone();
        match value.split([':', ',']).next().unwrap_or_default() {
            "none" | "null" => draft.native(index, &format!("no <{name}>")),
            "stdio" | "mon" | "pty" | "vc" => {
                draft.device(Fragment::new(&name).with("type", "pty"));
                draft.native(index, &format!("<{name} type='pty'>: virsh console"));
            }
            "file" => {
                let file = value.strip_prefix("file:").map(|path| Fragment::new("source").with("path", path));
                draft.device(Fragment::new(&name).with("type", "file").child_if(file));
                draft.native(index, &format!("<{name} type='file'>"));
            }
            _ => draft.keep(index, "this backend is not converted"),
        }
    }
}

/// Serial ports given as devices, if libvirt has an element for their backend.
fn devices(draft: &mut Draft) {
    for index in draft.devices(&["serial"]) {
        let Some(chardev) = draft.behind(index, "chardev", "chardev") else { continue };
        let mut serial = Fragment::new("serial");
        let path = draft.peek(chardev, "path").map(str::to_owned);
        match (draft.peek(chardev, "backend"), path) {
            (Some("pty" | "stdio"), _) => serial.set("@type", "pty"),
            (Some("file"), path) => {
                serial.set("@type", "file");
                serial.set("source@path", path.unwrap_or_default());
            }
            (Some("socket"), Some(path)) => {
                serial.set("@type", "unix");
                serial.set("source@mode", if draft.flag(chardev, "server") == Some(true) { "bind" } else { "connect" });
                serial.set("source@path", path);
            }
            _ => continue,
        }
        serial.set("target@type", "isa-serial");
        draft.fill(index, "serial", &mut serial);
        draft.fill(chardev, "chardev", &mut serial);
        draft.native(chardev, "<serial>");
        draft.finish(index, serial);
    }
}

/// A port on the virtio serial controller, or USB redirection, with the character device behind it.
fn port(draft: &mut Draft, index: usize) {
    let Some(chardev) = draft.behind(index, "chardev", "chardev") else {
        return draft.keep(index, NO_BACKEND);
    };
    let kind = match draft.peek(chardev, "backend").unwrap_or_default() {
        "spicevmc" if !draft.has_option("spice") => {
            draft.drop(index, "it needs SPICE, which the script does not use");
            return draft.drop(chardev, "it needs SPICE, which the script does not use");
        }
        "spicevmc" => "spicevmc",
        "socket" => "unix",
        "qemu-vdagent" => "qemu-vdagent",
        "file" => "file",
        _ => {
            draft.keep(index, "libvirt has no element for its backend");
            return draft.keep(chardev, "libvirt has no element for this");
        }
    };
    let mut element = draft.element(index, if draft.peek(index, "driver") == Some("usb-redir") { "redirdev" } else { "channel" });
    element.set("@type", kind);
    if element.name() == "channel" {
        if kind == "qemu-vdagent" {
            element.set("source/clipboard@copypaste", "no");
            element.set("source/mouse@mode", "server");
            draft.fill(chardev, "qemu-vdagent", &mut element);
        }
        element.set("target@type", "virtio");
        element.set("target@name", draft.take(index, "name").unwrap_or_default());
    }
    if kind == "file" {
        element.set("source@path", draft.take(chardev, "path").unwrap_or_default());
    }
    draft.fill(chardev, "chardev", &mut element);
    draft.native(chardev, if kind == "file" { "<channel>" } else { "<channel>: libvirt creates the socket itself" });
    draft.finish(index, element);
}

fn tpm(draft: &mut Draft) {
    for index in draft.devices(&["tpm"]) {
        let Some(backend) = draft.behind(index, "tpmdev", "tpmdev") else {
            draft.keep(index, NO_BACKEND);
            continue;
        };
        let mut tpm = draft.element(index, "tpm");
        let path = draft.take(backend, "path");
        if draft.take(backend, "type").as_deref() == Some("passthrough") {
            tpm.set("backend@type", "passthrough");
            tpm.set("backend/device@path", path.unwrap_or_else(|| "/dev/tpm0".into()));
        } else {
            draft.notes.push("libvirt runs its own swtpm; the state of the old one (keys, BitLocker) stays in its directory".into());
            tpm.set("backend@type", "emulator");
            tpm.set("backend@version", "2.0");
        }
        if let Some(chardev) = draft.behind(backend, "chardev", "chardev") {
            draft.drop(chardev, "libvirt runs its own swtpm");
        }
        draft.take(backend, "chardev");
        draft.fill(backend, "tpmdev", &mut tpm);
        draft.native(backend, "<tpm><backend>");
        draft.finish(index, tpm);
    }
}
