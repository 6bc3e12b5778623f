//! What is shown, and where: emulated graphics, VNC and SPICE.

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

const NO_WINDOW: &str = "libvirt opens no window; a guest is looked at with virt-viewer, or on the card's own output";

pub(super) fn translate(draft: &mut Draft) {
    let mut models = Vec::new();
    for index in draft.named(&["vga"]) {
        let model = draft.take(index, "model").unwrap_or_default();
        models.extend(MODELS.iter().find(|(name, _)| *name == model).map(|(_, model)| *model));
        draft.native(index, "<video>");
    }
    let without = models.contains(&"none");
    let devices: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
    for index in draft.devices(&devices) {
        let driver = draft.take(index, "driver").unwrap_or_default();
        if draft.options[index].props.left().iter().any(|(name, _)| ["blob", "max_outputs"].contains(&name.as_str())) {
            draft.keep(index, "graphics with properties that no element says");
            continue;
        }
        models.extend(MODELS.iter().find(|(name, _)| *name == driver).map(|(_, model)| *model));
        draft.place_freely(index);
        draft.native(index, "<video>");
    }
    if models.len() > 1 {
        models.retain(|model| *model != "none");
    }
    let has_defaults = !draft.options.iter().any(|option| option.name == "nodefaults");
    if models.is_empty() {
        models.push(if has_defaults { "vga" } else { "none" });
    }
    let shows = models.iter().any(|model| *model != "none");
    for (number, model) in models.iter().enumerate() {
        let element = Fragment::new("model").with("type", model);
        draft.device(Fragment::new("video").child(if number == 0 && shows { element.with("primary", "yes") } else { element }));
    }
    graphics(draft, shows && !without);
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
    for index in draft.named(&["nographic"]) {
        shown = true;
        if !draft.options.iter().any(|option| option.name == "serial") {
            draft.device(Fragment::new("serial").with("type", "pty"));
        }
        draft.native(index, "no <graphics>");
    }
    for index in draft.named(&["display", "sdl", "curses"]) {
        if draft.options[index].props.peek("type") == Some("none") {
            draft.take(index, "type");
            shown = true;
            draft.native(index, "no <graphics>");
        } else {
            draft.drop(index, NO_WINDOW);
        }
    }
    if shows && !shown {
        draft.device(Fragment::new("graphics").with("type", "vnc").with("autoport", "yes").with("listen", "127.0.0.1"));
        draft.notes.push("in place of QEMU's window the guest is shown by VNC, to this machine only".into());
    }
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
        draft.keep(index, "a place that no element says");
        return true;
    };
    let listen = if host.is_empty() { "0.0.0.0" } else { host };
    let graphics = Fragment::new("graphics").with("type", "vnc").with("port", 5900_u32.saturating_add(number)).with("autoport", "no");
    draft.device(graphics.with("listen", listen));
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
        graphics = graphics.with("listen", address.unwrap_or_else(|| "127.0.0.1".into()));
    }
    if let Some(compression) = draft.take(index, "image-compression") {
        graphics = graphics.child(Fragment::new("image").with("compression", compression));
    }
    draft.options[index].props.ignore(&["disable-ticketing", "seamless-migration", "agent-mouse"]);
    draft.device(graphics);
    draft.native(index, "<graphics type='spice'>");
}
