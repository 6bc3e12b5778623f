//! Emulated graphics, VNC and SPICE.

use super::draft::Draft;
use crate::xml::Fragment;

/// Emulated graphics: what QEMU calls them, libvirt's model.
const MODELS: [(&str, &str); 16] = [
    ("none", "none"),
    ("std", "vga"),
    ("VGA", "vga"),
    ("secondary-vga", "vga"),
    ("cirrus", "cirrus"),
    ("cirrus-vga", "cirrus"),
    ("vmware", "vmvga"),
    ("vmware-svga", "vmvga"),
    ("qxl", "qxl"),
    ("qxl-vga", "qxl"),
    ("virtio", "virtio"),
    ("virtio-vga", "virtio"),
    ("virtio-gpu-pci", "virtio"),
    ("virtio-vga-gl", "virtio"),
    ("bochs-display", "bochs"),
    ("ramfb", "ramfb"),
];

/// VGA devices: with one of them QEMU adds no default VGA.
const FIRST: [&str; 7] = ["VGA", "cirrus-vga", "vmware-svga", "qxl-vga", "virtio-vga", "virtio-vga-gl", "isa-vga"];
/// Graphics that are not VGA: with these models libvirt makes the first `<video>` a VGA device.
const SECOND: [&str; 3] = ["qxl", "secondary-vga", "virtio-gpu-pci"];

const NO_WINDOW: &str = "libvirt opens no window; view the guest with virt-viewer, or on the card's own output";

pub(super) fn translate(draft: &mut Draft) {
    let mut models = Vec::new();
    for index in draft.named(&["vga"]) {
        let model = draft.take(index, "model").unwrap_or_default();
        models.extend(MODELS.iter().find(|(name, _)| *name == model).map(|(_, model)| *model));
        draft.native(index, "<video>");
    }
    let without = models.contains(&"none");
    let (mut memory, mut accelerated) = (Vec::new(), Vec::new());
    let has_defaults = !draft.has_option("nodefaults");
    let is_first = |option: &super::options::QemuOption| option.props.peek("driver").is_some_and(|driver| FIRST.contains(&driver));
    // Without a VGA device QEMU adds its default one (`default_list` of `system/vl.c`).
    if models.is_empty() && has_defaults && !draft.options.iter().any(|option| option.name == "device" && is_first(option)) {
        models.push("vga");
    }
    let devices: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
    for index in draft.devices(&devices) {
        let driver = draft.options[index].props.peek("driver").unwrap_or_default().to_owned();
        if SECOND.contains(&driver.as_str()) && models.iter().all(|model| *model == "none") {
            draft.keep(index, "libvirt supports it only beside a primary graphics device, and the script has none");
            continue;
        }
        draft.take(index, "driver");
        if draft.options[index].props.left().iter().any(|(name, _)| name == "blob" || (name == "max_outputs" && !driver.starts_with("qxl")))
        {
            draft.keep(index, "it has properties that libvirt has no element for");
            continue;
        }
        if let Some((_, model)) = MODELS.iter().find(|(name, _)| *name == driver) {
            let sizes = sizes(draft, index, model);
            if driver == "virtio-vga-gl" || draft.flag(index, "virgl") == Some(true) {
                accelerated.push(models.len());
            }
            memory.extend(sizes.into_iter().map(|(name, size)| (models.len(), name, size)));
            models.push(model);
        }
        draft.ignore_address(index);
        draft.native(index, "<video>");
    }
    if models.len() > 1 && without {
        // `-vga none` comes first.
        models.retain(|model| *model != "none");
        for (at, ..) in &mut memory {
            *at -= 1;
        }
        for at in &mut accelerated {
            *at -= 1;
        }
    }
    if models.is_empty() {
        models.push(if has_defaults { "vga" } else { "none" });
    }
    let shows = models.iter().any(|model| *model != "none");
    for (number, model) in models.iter().enumerate() {
        let sizes = memory.iter().filter(|(at, ..)| *at == number);
        let element = sizes.fold(Fragment::new("model").with("type", model), |element, (_, name, size)| element.with(name, size));
        let speed = accelerated.contains(&number).then(|| Fragment::new("acceleration").with("accel3d", "yes"));
        let element = element.child_if(speed);
        draft.device(Fragment::new("video").child(if number == 0 && shows { element.with("primary", "yes") } else { element }));
    }
    graphics(draft, shows && !without);
}

/// Memory sizes of emulated graphics, in libvirt's unit, KiB.
fn sizes(draft: &mut Draft, index: usize, model: &str) -> Vec<(&'static str, u64)> {
    let mut sizes = Vec::new();
    let mut number = |name: &str| draft.options[index].props.take(name).and_then(|number| number.parse::<u64>().ok());
    if model == "qxl" {
        for (attribute, in_bytes, in_mib) in
            [("ram", "ram_size", "ram_size_mb"), ("vram", "vram_size", "vram_size_mb"), ("vram64", "vram64_size", "vram64_size_mb")]
        {
            let bytes = number(in_bytes).map(|bytes| bytes >> 10);
            sizes.extend(number(in_mib).map(|mib| mib << 10).or(bytes).map(|size| (attribute, size)));
        }
        sizes.extend(number("vgamem_mb").map(|mib| ("vgamem", mib << 10)));
        sizes.extend(number("max_outputs").map(|heads| ("heads", heads)));
    } else if model == "vga" {
        sizes.extend(number("vgamem_mb").map(|mib| ("vram", mib << 10)));
    }
    sizes
}

fn graphics(draft: &mut Draft, shows: bool) {
    let mut shown = false;
    for index in draft.named(&["vnc"]) {
        shown |= vnc(draft, index);
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
        if draft.options[index].props.peek("type") == Some("none") {
            draft.take(index, "type");
            shown = true;
            draft.native(index, "no <graphics>");
        } else if draft.options[index].props.peek("type") == Some("egl-headless") {
            draft.take(index, "type");
            let gl = draft.take(index, "rendernode").map(|node| Fragment::new("gl").with("rendernode", node));
            draft.device(Fragment::new("graphics").with("type", "egl-headless").child_if(gl));
            draft.native(index, "<graphics type='egl-headless'>");
        } else {
            if draft.options[index].props.peek("gl").is_some_and(|gl| gl != "off") {
                draft.notes.push(
                    "gl= is left out, since libvirt opens no window: for 3D in the guest write <graphics type='egl-headless'/> beside VNC, \
                     and <acceleration accel3d='yes'/> in the <model> of virtio's <video>"
                        .into(),
                );
            }
            draft.drop(index, NO_WINDOW);
        }
    }
    if shows && !shown {
        let graphics = Fragment::new("graphics").with("type", "vnc").with("autoport", "yes").with("listen", "127.0.0.1");
        let keys = keymap(draft);
        draft.device(if let Some(keys) = keys { graphics.with("keymap", keys) } else { graphics });
        draft.notes.push("VNC replaces QEMU's window, and listens on this host only".into());
    }
}

/// `-k`: the keyboard layout.
fn keymap(draft: &mut Draft) -> Option<String> {
    let keys = draft.options.iter().find(|option| option.name == "k").map(|option| option.value().to_owned());
    for index in draft.named(&["k"]) {
        draft.native(index, "<graphics keymap=…>");
    }
    keys
}

/// `:1`, `127.0.0.1:1`, `unix:/path`, `none`.
fn vnc(draft: &mut Draft, index: usize) -> bool {
    let display = draft.take(index, "display").unwrap_or_default();
    if display == "none" {
        draft.native(index, "no <graphics>");
        return true;
    }
    let (host, number) = display.rsplit_once(':').unwrap_or(("", "0"));
    let Ok(number) = number.parse::<u32>() else {
        draft.keep(index, "libvirt has no element for this address");
        return true;
    };
    let host = host.trim_matches(['[', ']']);
    let listen = if host.is_empty() { "0.0.0.0" } else { host };
    let is_local = listen == "localhost" || listen.starts_with("127.") || listen == "::1";
    let guards = ["password", "password-secret", "sasl", "tls-creds", "tls-authz", "sasl-authz"];
    let guarded = guards.into_iter().find(|name| draft.take(index, name).is_some_and(|value| value != "off"));
    let listen = match guarded {
        Some(guard) => {
            draft.notes.push(format!(
                "{guard} of -vnc is not imported (QEMU's monitor or a file sets it): write <graphics passwd=…>, or vnc_tls and vnc_sasl \
                 in qemu.conf{}",
                if is_local { String::new() } else { format!("; until then VNC listens on 127.0.0.1, not on {listen}") }
            ));
            if is_local { listen } else { "127.0.0.1" }
        }
        None => {
            if !is_local {
                draft
                    .notes
                    .push(format!("VNC on {listen} is open to everyone, as in the script: listen='127.0.0.1' and a password restrict it"));
            }
            listen
        }
    };
    let graphics = Fragment::new("graphics").with("type", "vnc").with("port", 5900_u32.saturating_add(number)).with("autoport", "no");
    let keys = keymap(draft);
    let graphics = graphics.with("listen", listen);
    draft.device(if let Some(keys) = keys { graphics.with("keymap", keys) } else { graphics });
    draft.native(index, "<graphics type='vnc'>");
    true
}

fn spice(draft: &mut Draft, index: usize) {
    let mut graphics = Fragment::new("graphics").with("type", "spice");
    let socket = draft.flag(index, "unix") == Some(true);
    let address = draft.take(index, "addr");
    if socket {
        let path = address.unwrap_or_default();
        graphics = graphics.child(Fragment::new("listen").with("type", "socket").with("socket", path));
    } else {
        let port = draft.take(index, "port");
        graphics = match port {
            Some(port) => graphics.with("port", port).with("autoport", "no"),
            None => graphics.with("autoport", "yes"),
        };
        if address.is_none() {
            draft.notes.push(
                "-spice without addr= listens on all addresses; the domain listens on 127.0.0.1 only: listen= of <graphics> sets another address".into(),
            );
        }
        graphics = graphics.with("listen", address.unwrap_or_else(|| "127.0.0.1".into()));
        if let Some(password) = draft.take(index, "password") {
            graphics = graphics.with("passwd", password);
        }
    }
    if let Some(compression) = draft.take(index, "image-compression") {
        graphics = graphics.child(Fragment::new("image").with("compression", compression));
    }
    if let Some(keys) = keymap(draft) {
        graphics = graphics.with("keymap", keys);
    }
    let node = draft.take(index, "rendernode");
    if draft.flag(index, "gl") == Some(true) {
        let gl = Fragment::new("gl").with("enable", "yes");
        graphics = graphics.child(if let Some(node) = node { gl.with("rendernode", node) } else { gl });
    }
    draft.options[index].props.ignore(&["disable-ticketing", "seamless-migration", "agent-mouse"]);
    draft.device(graphics);
    draft.native(index, "<graphics type='spice'>");
}
