//! Emulated graphics, VNC and SPICE.

use super::draft::{Draft, SPICE_APP};
use super::table;
use crate::xml::Fragment;

/// Where libvirt puts the sockets that it makes itself.
const OF_LIBVIRT: &str = "/var/lib/libvirt/qemu/domain-";
const NO_WINDOW: &str = "libvirt opens no window; view the guest with virt-viewer, or on the card's own output";
const NO_TICKETS: &str = "-spice without disable-ticketing asks for a password (QEMU's monitor sets it); the domain asks for none, and listens \
     on 127.0.0.1 or on a socket only: passwd= of <graphics> sets one";

pub(super) fn translate(draft: &mut Draft) {
    let mut videos: Vec<Fragment> = Vec::new();
    if let Some(index) = draft.last_of("vga") {
        let model = draft.take(index, "model").unwrap_or_default();
        if let Some(model) = table::element("vga", &model).as_ref().and_then(|vga| vga.attribute("model")) {
            videos.push(filled(draft, index, model, false));
        }
        draft.native(index, "<video>");
    }
    let is_none = |video: &Fragment| video.at("model").and_then(|model| model.attribute("type")) == Some("none");
    let has_defaults = !draft.has_option("nodefaults");
    let is = |driver: &str, kind: &str| table::element("video", driver).is_some_and(|video| video.attribute("is") == Some(kind));
    // Without a VGA device QEMU adds its default one (`default_list` of `system/vl.c`).
    let has_vga = || draft.options.iter().any(|option| option.driver().is_some_and(|driver| driver == "isa-vga" || is(driver, "vga")));
    if videos.is_empty() && has_defaults && !has_vga() {
        videos.push(video("vga"));
    }
    let mut devices = draft.devices(&["video"]);
    // The first one is primary, and QEMU's firmware uses the VGA device.
    devices.sort_by_key(|index| {
        let driver = draft.peek(*index, "driver").unwrap_or_default();
        (!is(driver, "vga"), !is(driver, "second"))
    });
    // Also what is passed to QEMU unchanged shows something, and needs a display that renders.
    let of_host = draft.options.iter().any(|option| option.driver().is_some() && option.peek("display") == Some("on"));
    let (mut shows, mut renders) = (of_host, of_host);
    for index in devices {
        let driver = draft.peek(index, "driver").unwrap_or_default().to_owned();
        renders |= driver.contains("-gl");
        if is(&driver, "second") && videos.iter().all(is_none) {
            shows = true;
            draft.keep(index, "libvirt supports it only beside a primary graphics device, and the script has none");
            continue;
        }
        let model = table::element("video", &driver).and_then(|video| Some(video.attribute("model")?.to_owned())).unwrap_or_default();
        videos.push(filled(draft, index, &model, driver.contains("-gl")));
        draft.ignore_address(index);
        draft.native(index, "<video>");
    }
    if videos.len() > 1 {
        // `-vga none` beside a device.
        videos.retain(|video| !is_none(video));
    }
    if videos.is_empty() {
        videos.push(video(if has_defaults { "vga" } else { "none" }));
    }
    let has_primary = !videos.iter().all(is_none);
    shows |= has_primary;
    renders |= videos.iter().any(|video| video.at("model/acceleration").is_some());
    for (number, mut video) in videos.into_iter().enumerate() {
        if number == 0 && has_primary {
            video.set("model@primary", "yes");
        }
        draft.device(video);
    }
    graphics(draft, shows, renders);
}

fn video(model: &str) -> Fragment {
    Fragment::new("video").child(Fragment::new("model").with("type", model))
}

/// The same with the properties of an option; libvirt's schema wants the acceleration before the resolution.
fn filled(draft: &mut Draft, index: usize, model: &str, renders: bool) -> Fragment {
    let mut element = video(model);
    draft.fill(index, model, &mut element);
    if renders {
        element.set("model/acceleration@accel3d", "yes");
    }
    draft.fill(index, "resolution", &mut element);
    let has_blob = element.at("model").is_some_and(|model| model.attribute("blob") == Some("on"));
    if has_blob && draft.domain.at("memoryBacking/source").is_none() {
        draft.domain.set("memoryBacking/source@type", "memfd");
        draft.notes.push("blob=on: libvirt requires <memoryBacking><source type='memfd'/> for it, which is written".into());
    }
    element
}

fn graphics(draft: &mut Draft, shows: bool, renders: bool) {
    let mut shown = false;
    for index in draft.named(&["vnc"]) {
        vnc(draft, index);
        shown = true;
    }
    for index in draft.named(&["spice"]) {
        spice(draft, index);
        shown = true;
    }
    for (number, index) in draft.named(&["nographic"]).into_iter().enumerate() {
        shown = true;
        // The serial port of -nographic is one of QEMU's defaults.
        if number == 0 && !draft.has_option("serial") && !draft.has_option("nodefaults") {
            draft.device(Fragment::new("serial").with("type", "pty"));
        }
        draft.native(index, "no <graphics>");
    }
    for index in draft.named(&["display", "sdl", "curses"]) {
        match draft.peek(index, "type") {
            Some("none") => {
                draft.take(index, "type");
                shown = true;
                draft.native(index, "no <graphics>");
            }
            Some(SPICE_APP) => {
                spice_app(draft, index);
                shown = true;
            }
            Some("egl-headless") => {
                let mut graphics = Fragment::new("graphics").with("type", "egl-headless");
                draft.fill(index, "egl-headless", &mut graphics);
                draft.device(graphics);
                draft.native(index, "<graphics type='egl-headless'>");
            }
            _ => {
                let has_gl = draft.peek(index, "gl").is_some_and(|gl| gl != "off");
                if has_gl && renders {
                    // The card starts only with a display that renders.
                    draft.device(Fragment::new("graphics").with("type", "egl-headless"));
                    draft.notes.push("gl= is <graphics type='egl-headless'>: libvirt opens no window".into());
                } else if has_gl {
                    draft.notes.push(
                        "gl= is left out, since libvirt opens no window: for 3D in the guest write <graphics type='egl-headless'/> beside VNC, \
                         and <acceleration accel3d='yes'/> in the <model> of virtio's <video>"
                            .into(),
                    );
                }
                draft.drop(index, NO_WINDOW);
            }
        }
    }
    if shows && !shown {
        let graphics = Fragment::new("graphics").with("type", "vnc").with("autoport", "yes").with("listen", "127.0.0.1");
        show(draft, graphics);
        draft.notes.push("VNC replaces QEMU's window, and listens on this host only".into());
    }
}

/// Adds a display, with the keyboard layout of `-k`.
fn show(draft: &mut Draft, mut graphics: Fragment) {
    if let Some(keys) = draft.options.iter().find(|option| option.name == "k") {
        graphics.set("@keymap", keys.value());
    }
    for index in draft.named(&["k"]) {
        draft.native(index, "<graphics keymap=…>");
    }
    draft.device(graphics);
}

/// `:1`, `127.0.0.1:1`, `unix:/path`, `none`.
fn vnc(draft: &mut Draft, index: usize) {
    let display = draft.take(index, "display").or_else(|| draft.take(index, "vnc")).unwrap_or_default();
    if display == "none" {
        return draft.native(index, "no <graphics>");
    }
    let guards = ["password", "password-secret", "sasl", "tls-creds", "tls-authz", "sasl-authz"];
    let set: Vec<&str> = guards.into_iter().filter(|name| draft.take(index, name).is_some_and(|value| value != "off")).collect();
    let guard = set.join("=, ");
    let unguarded = format!(
        "{guard}= of -vnc is not imported (QEMU's monitor or a file sets it): write <graphics passwd=…>, or vnc_tls and vnc_sasl in qemu.conf"
    );
    if let Some(path) = display.strip_prefix("unix:") {
        let mut graphics = Fragment::new("graphics").with("type", "vnc");
        graphics.set("listen@type", "socket");
        if path.starts_with(OF_LIBVIRT) {
            draft.notes.push(format!("{path} was made by libvirt, which makes a new socket at each start"));
        } else {
            graphics.set("listen@socket", path);
        }
        if !set.is_empty() {
            draft.notes.push(format!("{unguarded}; until then all who may open the socket see the guest"));
        }
        return finish_vnc(draft, index, graphics);
    }
    let (host, number) = display.rsplit_once(':').unwrap_or(("", "0"));
    let Ok(number) = number.parse::<u32>() else {
        return draft.keep(index, "libvirt has no element for this address");
    };
    let host = host.trim_matches(['[', ']']);
    let mut listen = if host.is_empty() { "0.0.0.0" } else { host };
    let is_local = listen == "localhost" || listen.starts_with("127.") || listen == "::1";
    if !set.is_empty() {
        let until = if is_local { String::new() } else { format!("; until then VNC listens on 127.0.0.1, not on {listen}:{number}") };
        draft.notes.push(unguarded + &until);
        listen = if is_local { listen } else { "127.0.0.1" };
    } else if !is_local {
        draft.notes.push(format!("VNC on {listen} is open to everyone, as in the script: listen='127.0.0.1' and a password restrict it"));
    }
    let graphics = Fragment::new("graphics").with("type", "vnc").with("port", 5900_u32.saturating_add(number)).with("autoport", "no");
    finish_vnc(draft, index, graphics.with("listen", listen));
}

fn finish_vnc(draft: &mut Draft, index: usize, mut graphics: Fragment) {
    draft.fill(index, "vnc", &mut graphics);
    // libvirt numbers the backends in their order.
    let backends = || draft.options.iter().filter(|option| option.name == "audiodev");
    if let Some(at) = draft.peek(index, "audiodev").and_then(|name| backends().position(|backend| backend.peek("id") == Some(name))) {
        graphics.set("audio@id", at + 1);
        draft.take(index, "audiodev");
    }
    show(draft, graphics);
    draft.native(index, "<graphics type='vnc'>");
}

/// QEMU's own SPICE server on a socket of its own, and the viewer that it starts (`ui/spice-app.c`).
fn spice_app(draft: &mut Draft, index: usize) {
    draft.take(index, "type");
    let renders = draft.flag(index, "gl") == Some(true);
    if !draft.has_option("spice") {
        let mut graphics = Fragment::new("graphics").with("type", "spice");
        if renders {
            // SPICE renders for a viewer on the same host, which libvirt gives a descriptor.
            graphics.set("listen@type", "none");
            graphics.set("gl@enable", "yes");
        } else {
            graphics.set("@autoport", "yes");
            graphics.set("@listen", "127.0.0.1");
        }
        show(draft, graphics);
        draft.notes.push("spice-app: libvirt starts no viewer; virt-viewer and virt-manager show the guest".into());
    }
    draft.native(index, "<graphics type='spice'>");
}

fn spice(draft: &mut Draft, index: usize) {
    let mut graphics = Fragment::new("graphics").with("type", "spice");
    let address = draft.take(index, "addr");
    let is_closed = ["disable-ticketing", "password"].iter().all(|name| draft.peek(index, name).is_none());
    if draft.flag(index, "unix") == Some(true) {
        graphics.set("listen@type", "socket");
        graphics.set("listen@socket", address.unwrap_or_default());
        draft.notes.extend(is_closed.then(|| NO_TICKETS.to_owned()));
    } else {
        let port = draft.take(index, "port");
        if let Some(port) = &port {
            graphics.set("@port", port);
        }
        graphics.set("@autoport", if port.is_some() { "no" } else { "yes" });
        if is_closed {
            draft.notes.push(NO_TICKETS.into());
        } else if address.is_none() {
            draft.notes.push(
                "-spice without addr= listens on all addresses; the domain listens on 127.0.0.1 only: listen= of <graphics> sets another address".into(),
            );
        }
        graphics.set("@listen", address.filter(|_| !is_closed).unwrap_or_else(|| "127.0.0.1".into()));
    }
    draft.fill(index, "spice", &mut graphics);
    // The viewer that QEMU starts renders too; over a port SPICE cannot.
    if draft.options.iter().any(|option| option.peek("type") == Some(SPICE_APP) && option.peek("gl").is_some_and(table::is_on)) {
        if graphics.at("listen").is_some() {
            graphics.set("gl@enable", "yes");
        } else {
            draft.device(Fragment::new("graphics").with("type", "egl-headless"));
            draft.notes.push("gl= is <graphics type='egl-headless'>: SPICE on a port does not render".into());
        }
    }
    // The node is used only with gl=on.
    if graphics.at("gl").is_some()
        && let Some(node) = draft.take(index, "rendernode")
    {
        graphics.set("gl@rendernode", node);
    }
    show(draft, graphics);
    draft.native(index, "<graphics type='spice'>");
}
