//! Firmware.

use super::draft::Draft;
use super::table;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft) {
    let mut images = flash_drives(draft);
    images.extend(flash_nodes(draft));
    images.sort_by_key(|image| !image.read_only);
    // -snapshot discards the guest's writes: libvirt's copy of the variables is written instead.
    let is_protected = draft.has_option("snapshot");
    if !images.is_empty() {
        // QEMU ignores -bios beside flash images.
        draft.domain.below("os").remove("loader");
    }
    match &images[..] {
        [] => {}
        // A read-only image without a second one stores no variables, a writable one stores them in itself.
        [code] if code.is_marked => {
            loader(draft, code, "yes");
            draft.domain.set("os/loader@stateless", "yes");
        }
        [code] => {
            if is_protected {
                let remedy = format!("copy it, and name the copy in the script: cp {0} {0}.copy", code.path);
                let why = "-snapshot discards writes to the firmware image, but under libvirt QEMU would write to it";
                draft.refuse(code.option, why, remedy);
            }
            loader(draft, code, "no");
            if is_of_package(&code.path) {
                draft.notes.push(format!(
                    "{0}: it belongs to a package, and QEMU writes the guest's variables into it: copy it, and name the copy: cp {0} FILE",
                    code.path
                ));
            }
        }
        [code, variables, ..] => {
            loader(draft, code, "yes");
            // A file of a package is a template; any other file holds the variables themselves.
            if is_of_package(&variables.path) || is_protected || variables.is_marked {
                let why = match (is_protected, variables.is_marked) {
                    (true, _) => "-snapshot",
                    (false, true) => "readonly=on, which libvirt has for the code only",
                    (false, false) => "it belongs to a package",
                };
                draft.notes.push(format!("{}: libvirt copies it for the domain, and the guest writes to the copy ({why})", variables.path));
                draft.domain.set("os/nvram@template", &variables.path);
            } else {
                // libvirt copies the template only where the file is missing.
                let copied = draft.copies.iter().rev().find(|copy| copy.to == variables.path).cloned();
                let is_temporary = copied.as_ref().is_some_and(|copy| copy.is_temporary);
                if let Some(copy) = copied.filter(|copy| copy.from.starts_with('/')) {
                    let when = if copy.if_missing { ", as the script does" } else { "; the script does so at each start" };
                    draft.notes.push(if is_temporary {
                        format!(
                            "{}: the script makes it anew at each start; libvirt copies {} once for the domain, and the copy stays",
                            variables.path, copy.from
                        )
                    } else {
                        format!("{}: libvirt copies {} to it if it is missing{when}", variables.path, copy.from)
                    });
                    draft.domain.set("os/nvram@template", copy.from);
                }
                if !is_temporary {
                    draft.domain.set("os/nvram", &variables.path);
                }
            }
            if variables.format == "qcow2" {
                draft.domain.set("os/nvram@format", "qcow2");
            }
        }
    }
    secure(draft);
}

/// `secure=on` of the flash chip: only the firmware in System Management Mode writes the variables.
fn secure(draft: &mut Draft) {
    for index in draft.named(&["global"]) {
        let Some((driver, property, value)) = draft.options[index].global().filter(|(driver, ..)| driver.starts_with("cfi")) else {
            continue;
        };
        if driver == "cfi" {
            let why = "QEMU ignores it: it reads 'cfi' as the driver; -global driver=cfi.pflash01,property=secure,value=on is the form that it knows";
            draft.drop(index, why);
        } else if property == "secure" && draft.domain.at("os/loader").is_some_and(|loader| loader.attribute("type") == Some("pflash")) {
            let is_on = table::is_on(&value);
            draft.domain.set("os/loader@secure", if is_on { "yes" } else { "no" });
            // QEMU's default, which libvirt requires to be written.
            if is_on && draft.domain.at("features/smm").is_none() {
                draft.domain.set("features/smm@state", "on");
                draft.notes.push(
                    "secure= of the firmware's flash works with System Management Mode only: smm=on, QEMU's default, is written".into(),
                );
            }
            draft.whole(index);
            draft.native(index, "<loader secure=…>");
        }
    }
}

/// Whether a file belongs to a package of the distribution, as far as its place shows: `/usr/local` is the administrator's.
fn is_of_package(path: &str) -> bool {
    path.starts_with("/usr/") && !path.starts_with("/usr/local/")
}

struct Flash {
    path: String,
    format: String,
    read_only: bool,
    /// Whether the script marks it as read-only.
    is_marked: bool,
    option: usize,
}

fn loader(draft: &mut Draft, code: &Flash, read_only: &str) {
    draft.domain.push("os", Fragment::new("loader").with("readonly", read_only).with("type", "pflash").text(&code.path));
    if code.format == "qcow2" {
        draft.domain.set("os/loader@format", "qcow2");
    }
}

fn flash_drives(draft: &mut Draft) -> Vec<Flash> {
    let drives: Vec<usize> = draft.named(&["drive"]).into_iter().filter(|index| draft.peek(*index, "if") == Some("pflash")).collect();
    let mut images = Vec::new();
    for (number, index) in drives.iter().copied().enumerate() {
        let unit = draft.number(index, "unit").unwrap_or(number);
        let is_marked = draft.flag(index, "readonly") == Some(true) || draft.flag(index, "read-only") == Some(true);
        let path = draft.take(index, "file").unwrap_or_default();
        if path.is_empty() {
            draft.refuse_empty(index);
        }
        if let Some(size) = draft.take(index, "size") {
            let remedy = format!("copy them into a file, and name it in place of {path} and size=: head -c {size} {path} >FILE");
            draft.refuse(index, &format!("the firmware's flash is the first {size} bytes of it; libvirt takes whole files only"), remedy);
        }
        let format = draft.take(index, "format").unwrap_or_else(|| "raw".into());
        draft.options[index].props.ignore(&["if", "id", "index"]);
        // The first of several images is the code, even if it is not marked read-only.
        images.push(Flash { path, format, read_only: is_marked || (unit == 0 && drives.len() > 1), is_marked, option: index });
        draft.native(index, if unit == 0 { "<loader>" } else { "<nvram>" });
    }
    images
}

/// `-machine pflash0=NODE` with the block nodes.
fn flash_nodes(draft: &mut Draft) -> Vec<Flash> {
    let mut nodes = Vec::new();
    for machine in draft.options.iter().filter(|option| option.name == "machine") {
        for name in ["pflash0", "pflash1"] {
            nodes.extend(machine.peek(name).map(|node| (node.to_owned(), name)));
        }
    }
    let mut images = Vec::new();
    for (node, name) in nodes {
        let is_code = name == "pflash0";
        let Some(file) = super::nodes::take(draft, &node) else {
            draft.pass("machine", &format!("{name}={node}"));
            draft.notes.push(format!("{name}={node} of -machine is no file, and is passed to QEMU unchanged"));
            continue;
        };
        let option = file.options.first().copied().unwrap_or_default();
        images.push(Flash { path: file.path, format: file.format, read_only: is_code, is_marked: file.read_only, option });
        for index in file.options {
            draft.native(index, if is_code { "<loader>" } else { "<nvram>" });
        }
    }
    images
}
