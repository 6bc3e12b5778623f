//! The elements that are there once in a domain: name, memory, processors, firmware.

use super::cells;
use super::devices::{devices, ensure_child, insert_behind};
use crate::domain::spec::Processors;
use crate::domain_xml::size_of;
use crate::model::{Firmware, Size};
use crate::xml::{Document, Element, Fragment, Id};

/// What stands before the settings of memory and processors.
const HEAD: [&str; 8] = ["name", "uuid", "genid", "title", "description", "metadata", "maxMemory", "memory"];

pub(super) fn set_name(domain: &mut Document, name: &str) {
    let root = domain.root().id();
    match domain.root().child("name").map(Element::id) {
        Some(id) => domain.set_text(id, name),
        None => put_first(domain, root, &Fragment::new("name").text(name)),
    }
}

pub(super) fn set_uuid(domain: &mut Document, uuid: &str) {
    let root = domain.root().id();
    match domain.root().child("uuid").map(Element::id) {
        Some(id) => domain.set_text(id, uuid),
        None => insert_behind(domain, root, &Fragment::new("uuid").text(uuid), &["name"]),
    }
}

pub(super) fn set_memory(domain: &mut Document, memory: Size) {
    if domain.root().child("memory").is_none() {
        let root = domain.root().id();
        insert_behind(domain, root, &Fragment::new("memory").with("unit", "KiB").text(memory.kib()), &HEAD);
        return;
    }
    cells::set_memory(domain, memory);
    for name in ["memory", "currentMemory"] {
        let Some(element) = domain.root().child(name) else { continue };
        if size_of(element) != Some(memory) {
            let id = element.id();
            domain.set_attribute(id, "unit", "KiB");
            domain.set_text(id, &memory.kib().to_string());
        }
    }
}

/// All processors on from the start, and how the guest sees them.
pub(super) fn set_cpus(domain: &mut Document, processors: Processors) {
    let root = domain.root().id();
    let Processors { count, guest } = processors;
    cells::set_cpus(domain, count);
    let count = count.to_string();
    match domain.root().child("vcpu").map(Element::id) {
        Some(id) => {
            domain.set_text(id, &count);
            domain.remove_attribute(id, "current");
        }
        None => insert_behind(domain, root, &Fragment::new("vcpu").text(&count), &[&HEAD[..], &["currentMemory"]].concat()),
    }
    // One by one, some of them off: all are on now.
    if let Some(each) = domain.root().child("vcpus").map(Element::id) {
        domain.remove(each);
    }
    let root = domain.root().id();
    let cpu = ensure_child(domain, root, "cpu", &["features"]);
    let topology = ensure_child(domain, cpu, "topology", &["model", "vendor"]);
    // Left out where it would say 1, as libvirt fills it in.
    for (name, value) in [("dies", guest.dies), ("clusters", 1)] {
        if value > 1 || domain.element(topology).attribute(name).is_some_and(|count| count != "1") {
            domain.set_attribute(topology, name, &value.to_string());
        }
    }
    for (name, value) in [("sockets", guest.sockets), ("cores", guest.cores), ("threads", guest.threads)] {
        domain.set_attribute(topology, name, &value.to_string());
    }
}

/// Huge pages of the host's default size, in or out.
pub(super) fn set_hugepages(domain: &mut Document, wanted: bool) {
    let present = domain.root().at("memoryBacking/hugepages").map(Element::id);
    match (wanted, present) {
        (true, None) => {
            let root = domain.root().id();
            let backing = ensure_child(domain, root, "memoryBacking", &[&HEAD[..], &["currentMemory", "vcpu"]].concat());
            put_first(domain, backing, &Fragment::new("hugepages"));
        }
        (false, Some(pages)) => {
            domain.remove(pages);
            let empty = domain.root().child("memoryBacking").filter(|backing| backing.children().next().is_none()).map(Element::id);
            if let Some(backing) = empty {
                domain.remove(backing);
            }
        }
        _ => {}
    }
}

pub(super) fn set_emulator(domain: &mut Document, path: &str) {
    let devices = devices(domain);
    match domain.element(devices).child("emulator").map(Element::id) {
        Some(id) => domain.set_text(id, path),
        None => put_first(domain, devices, &Fragment::new("emulator").text(path)),
    }
}

/// The two flash images: code that no guest writes, and the image its variables are copied from.
pub(super) fn set_firmware(domain: &mut Document, firmware: &Firmware) {
    let root = domain.root().id();
    let os = ensure_child(domain, root, "os", &[&HEAD[..], &["currentMemory", "vcpu", "memoryBacking"]].concat());
    // libvirt would choose a firmware by itself, and refuses one that is named then.
    domain.remove_attribute(os, "firmware");
    if let Some(features) = domain.root().at("os/firmware").map(Element::id) {
        domain.remove(features);
    }
    let loader = ensure_child(domain, os, "loader", &["type"]);
    domain.set_attribute(loader, "readonly", "yes");
    domain.set_attribute(loader, "type", "pflash");
    set_or_remove(domain, loader, "secure", firmware.secure_boot.then_some("yes"));
    // Raw is what libvirt takes it for; it knows the attribute from 9.2 on.
    let format = (firmware.format != "raw").then_some(firmware.format.as_str());
    set_or_remove(domain, loader, "format", format);
    domain.set_text(loader, &firmware.code);
    let nvram = ensure_child(domain, os, "nvram", &["loader"]);
    domain.set_attribute(nvram, "template", &firmware.vars);
    set_or_remove(domain, nvram, "format", format);
    domain.remove_attribute(nvram, "templateFormat");
    // libvirt refuses UEFI without it.
    let root = domain.root().id();
    let features = ensure_child(domain, root, "features", &["os"]);
    ensure_child(domain, features, "acpi", &[]);
    if firmware.secure_boot {
        set_smm(domain);
    }
}

/// Firmware that keeps its keys from the guest does so in system management mode.
fn set_smm(domain: &mut Document) {
    let root = domain.root().id();
    let features = ensure_child(domain, root, "features", &["os"]);
    let smm = ensure_child(domain, features, "smm", &[]);
    domain.set_attribute(smm, "state", "on");
}

fn set_or_remove(domain: &mut Document, id: Id, name: &str, value: Option<&str>) {
    match value {
        Some(value) => domain.set_attribute(id, name, value),
        None => domain.remove_attribute(id, name),
    }
}

fn put_first(domain: &mut Document, parent: Id, fragment: &Fragment) {
    let first = domain.element(parent).children().next().map(Element::id);
    match first {
        Some(first) => domain.insert_before(first, fragment),
        None => domain.append(parent, fragment),
    }
}
