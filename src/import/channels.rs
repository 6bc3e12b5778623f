//! Serial lines, channels to the guest, and the TPM.

use super::draft::Draft;
use super::table;
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
        controller = controller.child_if(element.at("driver").cloned());
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

/// Lines given as devices, if libvirt has an element for their backend.
fn devices(draft: &mut Draft) {
    for index in draft.devices(&["serial", "parallel", "console"]) {
        let Some(chardev) = draft.behind(index, "chardev", "chardev") else { continue };
        let group = table::group(draft.peek(index, "driver").unwrap_or_default(), &["serial", "parallel", "console"]).unwrap_or_default();
        let mut line = draft.element(index, group);
        if !source(draft, chardev, &mut line) {
            continue;
        }
        draft.fill(index, "serial", &mut line);
        draft.fill(chardev, "chardev", &mut line);
        draft.native(chardev, &format!("<{group}>"));
        draft.finish(index, line);
    }
}

/// Writes the type and the source of a character device; `false` where libvirt has no element for it.
fn source(draft: &mut Draft, chardev: usize, element: &mut Fragment) -> bool {
    let peek = |name: &str| draft.peek(chardev, name).map(str::to_owned);
    let mode = if draft.peek(chardev, "server").is_some_and(table::is_on) { "bind" } else { "connect" };
    let (kind, places) = match (peek("backend").as_deref(), peek("path"), peek("host")) {
        _ if ["fd", "tls-creds", "websocket"].iter().any(|name| peek(name).is_some_and(|value| value != "off")) => return false,
        (Some("pty" | "stdio" | "vc"), ..) => ("pty", vec![]),
        (Some("null"), ..) => ("null", vec![]),
        (Some("file"), Some(path), _) => ("file", vec![("source@path", path)]),
        (Some("pipe"), Some(path), _) => ("pipe", vec![("source@path", path)]),
        (Some("serial" | "tty"), Some(path), _) => ("dev", vec![("source@path", path)]),
        (Some("socket"), Some(path), _) => ("unix", vec![("source@mode", mode.into()), ("source@path", path)]),
        (Some("socket"), None, Some(host)) => {
            let protocol = if peek("telnet").is_some_and(|telnet| table::is_on(&telnet)) { "telnet" } else { "raw" };
            let places = [("source@mode", mode.into()), ("source@host", host), ("source@service", peek("port").unwrap_or_default())];
            ("tcp", places.into_iter().chain([("protocol@type", protocol.into())]).collect())
        }
        _ => return false,
    };
    element.set("@type", kind);
    for (place, value) in places {
        element.set(place, value);
    }
    draft.options[chardev].props.ignore(&["host", "port", "telnet", "addr-type"]);
    true
}

/// A port on the virtio serial controller, or USB redirection, with the character device behind it.
fn port(draft: &mut Draft, index: usize) {
    let Some(chardev) = draft.behind(index, "chardev", "chardev") else {
        return draft.keep(index, NO_BACKEND);
    };
    let is_channel = draft.peek(index, "driver") != Some("usb-redir");
    let mut element = draft.element(index, if is_channel { "channel" } else { "redirdev" });
    match draft.peek(chardev, "backend").unwrap_or_default().to_owned().as_str() {
        "spicevmc" if !draft.has_spice() => {
            draft.drop(index, "it needs SPICE, which the script does not use");
            return draft.drop(chardev, "it needs SPICE, which the script does not use");
        }
        "spicevmc" => element.set("@type", "spicevmc"),
        "qemu-vdagent" if is_channel => {
            element.set("@type", "qemu-vdagent");
            element.set("source/clipboard@copypaste", "no");
            element.set("source/mouse@mode", "server");
            draft.fill(chardev, "qemu-vdagent", &mut element);
        }
        "socket" if is_channel && draft.peek(chardev, "host").is_none() => element.set("@type", "unix"),
        _ if source(draft, chardev, &mut element) => {}
        _ => {
            draft.keep(index, "libvirt has no element for its backend");
            return draft.keep(chardev, "libvirt has no element for this");
        }
    }
    if is_channel {
        element.set("target@type", "virtio");
        if let Some(name) = draft.take(index, "name") {
            element.set("target@name", name);
        }
    }
    draft.fill(chardev, "chardev", &mut element);
    let is_own = element.attribute("type") == Some("unix") && element.at("source").is_none();
    draft
        .native(chardev, &if is_own { "<channel>: libvirt creates the socket itself".to_owned() } else { format!("<{}>", element.name()) });
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
