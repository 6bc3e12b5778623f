//! Firmware, kernels, and boot devices.

use super::draft::Draft;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    let mut images = flash_drives(draft);
    images.extend(flash_nodes(draft));
    images.sort_by_key(|image| !image.read_only);
    // -snapshot discards the guest's writes: libvirt's copy of the variables is written instead.
    let is_protected = draft.has_option("snapshot");
    match &images[..] {
        [] => {}
        [code] => one(draft, code),
        [code, variables, ..] => {
            draft.put("os", loader(code));
            let nvram = Fragment::new("nvram");
            let is_pattern = variables.path.starts_with("/usr/") || is_protected;
            if is_pattern {
                let why = if is_protected { "-snapshot" } else { "it belongs to a package" };
                draft.notes.push(format!("{}: libvirt copies it for the domain, and the guest writes to the copy ({why})", variables.path));
            }
            // A file of a package is a template; any other file holds the variables themselves.
            let nvram = if is_pattern { nvram.with("template", &variables.path) } else { nvram.text(&variables.path) };
            draft.put("os", if variables.format == "qcow2" { nvram.with("format", "qcow2") } else { nvram });
        }
    }
    for index in draft.named(&["bios"]) {
        let path = draft.options[index].value().to_owned();
        draft.put("os", Fragment::new("loader").with("readonly", "yes").with("type", "rom").text(path));
        draft.native(index, "<loader type='rom'>");
    }
    for (name, element) in [("kernel", "kernel"), ("initrd", "initrd"), ("append", "cmdline"), ("dtb", "dtb")] {
        for index in draft.named(&[name]) {
            let value = draft.options[index].value().to_owned();
            draft.put("os", Fragment::new(element).text(value));
            draft.native(index, &format!("<os><{element}>"));
        }
    }
    boot(draft);
}

struct Flash {
    path: String,
    format: String,
    read_only: bool,
    /// Whether the script marks it as read-only.
    is_marked: bool,
    option: usize,
}

/// A firmware without a second image: a read-only one stores no variables, a writable one stores them
/// in itself.
fn one(draft: &mut Draft, image: &Flash) {
    let loader = loader(image);
    if image.is_marked {
        draft.put("os", loader.with("stateless", "yes"));
        return;
    }
    if draft.has_option("snapshot") {
        let remedy = format!("copy it, and name the copy in the script: cp {0} {0}.copy", image.path);
        draft.refuse(image.option, "-snapshot discards writes to the firmware image, but under libvirt QEMU would write to it", remedy);
    }
    let loader = Fragment::new("loader").with("readonly", "no").with("type", "pflash").text(&image.path);
    draft.put("os", if image.format == "qcow2" { loader.with("format", "qcow2") } else { loader });
}

fn loader(code: &Flash) -> Fragment {
    let loader = Fragment::new("loader").with("readonly", "yes").with("type", "pflash").text(&code.path);
    if code.format == "qcow2" { loader.with("format", "qcow2") } else { loader }
}

fn flash_drives(draft: &mut Draft) -> Vec<Flash> {
    let drives: Vec<usize> =
        draft.named(&["drive"]).into_iter().filter(|index| draft.options[*index].props.peek("if") == Some("pflash")).collect();
    let mut images = Vec::new();
    for (number, index) in drives.iter().copied().enumerate() {
        let unit = draft.take(index, "unit").and_then(|unit| unit.parse().ok()).unwrap_or(number);
        let read_only = draft.flag(index, "readonly") == Some(true) || draft.flag(index, "read-only") == Some(true);
        let path = draft.take(index, "file").unwrap_or_default();
        let format = draft.take(index, "format").unwrap_or_else(|| "raw".into());
        draft.options[index].props.ignore(&["if", "id", "index"]);
        // The first of several images is the code, even if it is not marked read-only.
        images.push(Flash { path, format, read_only: read_only || (unit == 0 && drives.len() > 1), is_marked: read_only, option: index });
        draft.native(index, if unit == 0 { "<loader>" } else { "<nvram>" });
    }
    images
}

/// `-machine pflash0=NODE` with the block nodes.
fn flash_nodes(draft: &mut Draft) -> Vec<Flash> {
    let machines: Vec<(String, bool)> = draft
        .options
        .iter()
        .filter(|option| option.name == "machine")
        .flat_map(|machine| {
            [("pflash0", true), ("pflash1", false)].map(|(name, code)| machine.props.peek(name).map(|node| (node.to_owned(), code)))
        })
        .flatten()
        .collect();
    let mut images = Vec::new();
    for (node, is_code) in machines {
        if let Some(file) = super::nodes::take(draft, &node) {
            let option = file.options.first().copied().unwrap_or_default();
            images.push(Flash { path: file.path, format: file.format, read_only: is_code, is_marked: file.read_only, option });
            for index in file.options {
                draft.native(index, if is_code { "<loader>" } else { "<nvram>" });
            }
        }
    }
    images
}

fn has_disk(draft: &Draft) -> bool {
    draft.options.iter().any(|option| match option.name.as_str() {
        "hda" | "hdb" | "hdc" | "hdd" => true,
        "drive" => option.props.peek("media") != Some("cdrom") && option.props.peek("if") != Some("pflash"),
        "device" => option.props.peek("driver").is_some_and(|driver| ["scsi-hd", "ide-hd", "virtio-blk-pci"].contains(&driver)),
        _ => false,
    })
}

fn boot(draft: &mut Draft) {
    let by_device = draft.options.iter().any(|option| option.props.peek("bootindex").is_some());
    for index in draft.named(&["boot"]) {
        let order = draft.take(index, "order");
        draft.take(index, "strict");
        if let Some(is_on) = draft.flag(index, "menu") {
            let menu = Fragment::new("bootmenu").with("enable", if is_on { "yes" } else { "no" });
            let timeout = draft.take(index, "splash-time");
            draft.put("os", if let Some(timeout) = timeout { menu.with("timeout", timeout) } else { menu });
        }
        if by_device && order.is_some() {
            draft.notes.push("the order of -boot is left out, since devices have a bootindex".into());
        }
        let devices = order.filter(|_| !by_device).unwrap_or_default();
        for letter in devices.chars() {
            let device = match letter {
                'a' => "fd",
                'c' => "hd",
                'd' => "cdrom",
                'n' => "network",
                _ => continue,
            };
            draft.put("os", Fragment::new("boot").with("dev", device));
        }
        // A firmware falls back to the disks if other devices do not boot; libvirt boots only what the order lists.
        if !devices.is_empty() && !devices.contains('c') && has_disk(draft) {
            draft.put("os", Fragment::new("boot").with("dev", "hd"));
        }
        draft.native(index, "<boot>, <bootmenu>");
    }
}
