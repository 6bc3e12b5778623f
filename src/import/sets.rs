//! `-set`, `-global`, and names that libvirt uses itself. libvirt writes devices as JSON, to which -set does not apply
//! (`qemu_set_option` searches the option lists): its value is written into the option that it names.

use super::draft::Draft;
use super::options::QemuOption;
use super::table;

/// The name of libvirt's own secret object.
const MASTER_KEY: &str = "masterKey0";

pub(super) fn translate(draft: &mut Draft) {
    for index in draft.named(&["set"]) {
        let value = draft.options[index].value().to_owned();
        let parts = value.split_once('=').and_then(|(place, to)| {
            let (group, place) = place.split_once('.')?;
            // A property name may contain a dot, an id cannot.
            let (id, property) = place.split_once('.')?;
            Some((group.to_owned(), id.to_owned(), property.to_owned(), to.to_owned()))
        });
        let Some((group, id, property, to)) = parts else {
            draft.drop(index, "it is not of the form -set GROUP.ID.PROPERTY=VALUE, and QEMU refuses it");
            continue;
        };
        let of = draft.options.iter().position(|option| option.name == group && option.peek("id") == Some(&id));
        match of {
            Some(of) => {
                draft.options[of].set(&property, Some(&to));
                draft.native(index, &format!("{property}={to} of {}", draft.options[of].written));
            }
            None => draft.drop(index, &format!("the script has no -{group} with id={id}, and QEMU refuses it")),
        }
    }
    globals(draft);
    boot_order(draft);
    let is_secret = |option: &QemuOption| option.name == "object" && option.peek("id") == Some(MASTER_KEY);
    let is_libvirts = |option: &QemuOption| option.peek("file").is_some_and(|file| file.ends_with("/master-key.aes"));
    if draft.options.iter().any(|option| is_secret(option) && is_libvirts(option)) {
        draft.is_of_libvirt = true;
        for index in draft.named(&["object"]) {
            if is_secret(&draft.options[index]) {
                draft.drop(index, "libvirt's master key of an earlier run; libvirt creates a new one");
            } else if draft.peek(index, "keyid") == Some(MASTER_KEY) {
                let why = "it is encrypted with a libvirt master key that is gone: write <encryption> or <auth> with a libvirt <secret>";
                let remedy =
                    "virsh dumpxml of the domain has them; else make a secret (virsh secret-define), and write the element by hand";
                draft.refuse(index, why, remedy);
            }
        }
    } else if draft.options.iter().any(is_secret) {
        for option in &mut draft.options {
            if let Some(value) = option.value.as_mut().filter(|value| value.contains(MASTER_KEY)) {
                *value = value.replace(MASTER_KEY, "importedKey0");
            }
        }
        draft.notes.push(format!("the secret {MASTER_KEY} is renamed to importedKey0: libvirt uses that name itself"));
    }
}

/// `-global`: a property of each device of a driver that does not set it itself (`qdev_prop_set_globals`), also of the one that `-vga`
/// names, and of QEMU's default one.
fn globals(draft: &mut Draft) {
    for index in draft.named(&["global"]) {
        let Some((driver, property, value)) = draft.options[index].global() else { continue };
        let is_vga = |option: &QemuOption| {
            option.name == "vga" && table::VGA.iter().any(|(model, of)| *of == driver && option.peek("model") == Some(model))
        };
        let adds_none = |option: &QemuOption| {
            ["vga", "nodefaults"].contains(&option.name.as_str())
                || option
                    .driver()
                    .is_some_and(|driver| table::element("video", driver).is_some_and(|video| video.attribute("is") == Some("vga")))
        };
        if driver == "VGA" && !draft.options.iter().any(adds_none) {
            draft.options[index].becomes("vga", &format!("std,{property}={value}"));
            continue;
        }
        for device in 0..draft.options.len() {
            let option = &mut draft.options[device];
            let is_debug = option.name == "debugcon" && driver == "isa-debugcon";
            if (option.driver() == Some(&driver) || is_vga(option) || is_debug) && option.peek(&property).is_none() {
                option.props.set(&property, Some(&value));
                draft.globals.push((index, device, property.clone()));
            }
        }
    }
}

/// libvirt counts the boot order from 1, also where a device is passed to QEMU unchanged.
fn boot_order(draft: &mut Draft) {
    if !draft.options.iter().flat_map(QemuOption::boot_order).any(|(_, number)| number == "0") {
        return;
    }
    for option in &mut draft.options {
        let orders = option.boot_order().filter_map(|(name, number)| Some((name, number.parse::<u32>().ok()?.saturating_add(1))));
        for (name, number) in orders.collect::<Vec<_>>() {
            option.set(name, Some(&number.to_string()));
        }
    }
}
