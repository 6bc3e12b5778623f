//! Serial lines, channels to the guest, and the TPM.

use super::draft::Draft;
use super::props::Props;
use super::table;
use crate::xml::Fragment;

/// Devices that pass on what a character device says.
const PORTS: [&str; 3] = ["channel", "smartcard passthrough", "redirdev"];

pub(super) fn translate(draft: &mut Draft) {
    for index in draft.devices(&["controller virtio-serial"]) {
        let mut controller = draft.begin_controller(index, "virtio-serial-bus", 1, "virtio-serial");
        let element = draft.element(index, "controller virtio-serial");
        for (name, value) in element.attributes().iter().filter(|(_, value)| value != "virtio") {
            controller = controller.with(name, value);
        }
        controller = controller.child_if(element.at("driver").cloned());
        draft.finish(index, controller);
    }
    lines(draft);
    devices(draft);
    smartcards(draft);
    for index in draft.devices(&PORTS) {
        port(draft, index);
    }
    tpm(draft);
}

/// `-serial`, `-parallel` and `-debugcon`: a character device in a short form, or the name of one.
fn lines(draft: &mut Draft) {
    for index in draft.named(&["serial", "parallel", "debugcon"]) {
        let port = draft.take(index, "iobase");
        let value = draft.whole(index);
        let is_debug = draft.options[index].name == "debugcon";
        let name = if is_debug { "serial".to_owned() } else { draft.options[index].name.clone() };
        if value == "none" {
            draft.native(index, &format!("no <{name}>"));
            continue;
        }
        let of = match value.strip_prefix("chardev:") {
            Some(id) => draft.with("chardev", "id", id),
            None => long_form(&value).map(|long| {
                draft.options[index].props = Props::read(&long, "backend");
                index
            }),
        };
        let mut line = Fragment::new(&name);
        let Some(of) = of.filter(|of| source(draft, *of, &mut line)) else {
            draft.options[index].props.clear();
            draft.keep(index, "libvirt has no element for its backend");
            continue;
        };
        if is_debug {
            line.set("target@type", "isa-debug");
        }
        if let Some(port) = port {
            line.set("address@type", "isa");
            line.set("address@iobase", port);
        }
        draft.fill(of, "chardev", &mut line);
        let kind = line.attribute("type").unwrap_or_default();
        let how = format!("<{name} type='{kind}'>{}", if kind == "pty" { ": virsh console" } else { "" });
        for option in [of, index] {
            draft.native(option, &how);
        }
        draft.device(line);
    }
}

/// The properties of a character device in its short form (`qemu_chr_parse_compat` of QEMU's `chardev/char.c`).
fn long_form(short: &str) -> Option<String> {
    let short = short.strip_prefix("mon:").unwrap_or(short);
    let end = short.find([':', ',']).unwrap_or(short.len());
    let (kind, rest) = (&short[..end], short.get(end + 1..).unwrap_or_default());
    let (place, options) = rest.split_once(',').unwrap_or((rest, ""));
    let options = if options.is_empty() { String::new() } else { format!(",{options}") };
    Some(match kind {
        "stdio" | "pty" | "vc" | "null" => kind.to_owned(),
        "mon" => "stdio".into(),
        "file" | "pipe" => format!("{kind},path={rest}"),
        "unix" => format!("socket,path={place}{options}"),
        "tcp" | "telnet" => {
            let (host, port) = place.rsplit_once(':')?;
            format!("socket,host={host},port={port},telnet={}{options}", if kind == "telnet" { "on" } else { "off" })
        }
        "udp" => {
            let (to, from) = place.split_once('@').unwrap_or((place, ":0"));
            let ((host, port), (own, own_port)) = (to.rsplit_once(':')?, from.rsplit_once(':')?);
            format!("udp,host={host},port={port},localaddr={own},localport={own_port}")
        }
        _ if short.starts_with("/dev/") => format!("serial,path={short}"),
        _ => return None,
    })
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
    let is_server = draft.peek(chardev, "server").is_some_and(table::is_on);
    let mode = if is_server { "bind" } else { "connect" };
    let end = |mode: &str, host: String, port: String| {
        // QEMU listens on all addresses, and connects to this host, where none is given (`inet_parse`).
        let default = if mode == "bind" { "0.0.0.0" } else { "localhost" };
        let host = if host.is_empty() { default.to_owned() } else { host };
        Fragment::new("source").with("mode", mode).with("host", host).with("service", port)
    };
    let at = |path: String| vec![Fragment::new("source").with("path", path)];
    let mut protocol = None;
    let (kind, sources) = match (peek("backend").as_deref(), peek("path"), peek("host")) {
        _ if ["fd", "tls-creds", "websocket"].iter().any(|name| peek(name).is_some_and(|value| value != "off")) => return false,
        (Some("pty" | "stdio" | "vc"), ..) => ("pty", vec![]),
        (Some("null"), ..) => ("null", vec![]),
        (Some("file"), Some(path), _) => ("file", at(path)),
        (Some("pipe"), Some(path), _) => ("pipe", at(path)),
        (Some("serial" | "tty" | "parallel" | "parport"), Some(path), _) => ("dev", at(path)),
        (Some("socket"), Some(path), _) => ("unix", vec![Fragment::new("source").with("mode", mode).with("path", path)]),
        (Some("socket"), None, Some(host)) => {
            protocol = Some(if draft.peek(chardev, "telnet").is_some_and(table::is_on) { "telnet" } else { "raw" });
            ("tcp", vec![end(mode, host, peek("port").unwrap_or_default())])
        }
        (Some("udp"), ..) => {
            let text = |name: &str| peek(name).unwrap_or_default();
            let own = peek("localport").filter(|port| port != "0").map(|port| end("bind", text("localaddr"), port));
            ("udp", own.into_iter().chain([end("connect", text("host"), text("port"))]).collect())
        }
        _ => return false,
    };
    element.set("@type", kind);
    for source in sources {
        element.push("", source);
    }
    if let Some(protocol) = protocol {
        element.set("protocol@type", protocol);
    }
    draft.options[chardev].props.ignore(&["host", "port", "localaddr", "localport", "telnet", "addr-type"]);
    true
}

/// The readers of smartcards, and the cards that QEMU emulates.
fn smartcards(draft: &mut Draft) {
    for index in draft.devices(&["controller ccid"]) {
        let controller = draft.begin_controller(index, "ccid-bus", 1, "ccid");
        draft.finish(index, controller);
    }
    for index in draft.devices(&["smartcard"]) {
        let mut card = draft.element(index, "smartcard");
        let certificates: Vec<String> = ["cert1", "cert2", "cert3"].iter().filter_map(|name| draft.take(index, name)).collect();
        match (draft.take(index, "backend").as_deref(), certificates.len()) {
            (Some("certificates"), 3) => card.set("@mode", "host-certificates"),
            (None | Some("nss-emulated"), 0) => {}
            _ => {
                draft.keep(index, "libvirt has cards with three certificates only");
                continue;
            }
        }
        for certificate in certificates {
            card.push("", Fragment::new("certificate").text(certificate));
        }
        draft.fill(index, "smartcard", &mut card);
        // The schema of libvirt 9.0 has this order.
        card.sort(&["certificate", "database"]);
        draft.finish(index, card);
    }
}

/// A port on the virtio serial controller, a smartcard of SPICE, or USB redirection, with the character device behind it.
fn port(draft: &mut Draft, index: usize) {
    let Some(chardev) = draft.backend(index, "chardev", "chardev") else { return };
    let group = table::group(draft.peek(index, "driver").unwrap_or_default(), &PORTS).unwrap_or_default();
    let is_channel = group == "channel";
    let mut element = draft.element(index, group);
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
        // A socket that QEMU listens on has libvirt's own path.
        "socket" if is_channel && draft.peek(chardev, "host").is_none() && draft.peek(chardev, "server").is_some_and(table::is_on) => {
            element.set("@type", "unix");
        }
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
        let Some(backend) = draft.backend(index, "tpmdev", "tpmdev") else { continue };
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
