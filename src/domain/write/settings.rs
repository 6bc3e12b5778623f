//! The elements that occur once in a domain: name, memory, processors, firmware.

use super::cells;
use super::setting::{before, ensure, put, remove};
use crate::domain::setting::{Setting, find};
use crate::domain::spec::Processors;
use crate::domain_xml::size_of;
use crate::model::{Firmware, Size};
use crate::xml::{Document, Element, Id};

pub(super) fn set_name(domain: &mut Document, name: &str) {
    put(domain, &Setting::new("name").text(name));
}

pub(super) fn set_uuid(domain: &mut Document, uuid: &str) {
    put(domain, &Setting::new("uuid").text(uuid));
}

pub(super) fn set_memory(domain: &mut Document, memory: Size) {
    let of = |name: &str| Setting::new(name).with("unit", "KiB").text(memory.kib());
    if domain.root().child("memory").is_none() {
        put(domain, &of("memory"));
        return;
    }
    cells::set_memory(domain, memory);
    for name in ["memory", "currentMemory"] {
        if domain.root().child(name).is_some_and(|now| size_of(now) != Some(memory)) {
            put(domain, &of(name));
        }
    }
}

/// Sets the number of vCPUs, all online from the start, and the guest's CPU topology.
pub(super) fn set_cpus(domain: &mut Document, Processors { count, guest }: Processors) {
    cells::set_cpus(domain, count);
    ensure(domain, "vcpu", before("memoryBacking"));
    let vcpu = put(domain, &Setting::new("vcpu").text(count));
    domain.remove_attribute(vcpu, "current");
    // <vcpus> lists single vCPUs, some of them offline; now all are online.
    if let Some(each) = domain.root().child("vcpus").map(Element::id) {
        domain.remove(each);
    }
    ensure(domain, "cpu", &["features"]);
    let topology = put(domain, &Setting::new("cpu/topology"));
    // Omitted if it is 1, which is libvirt's default.
    for (name, value) in [("dies", guest.dies), ("clusters", 1)] {
        if value > 1 || domain.element(topology).attribute(name).is_some_and(|count| count != "1") {
            domain.set_attribute(topology, name, &value.to_string());
        }
    }
    for (name, value) in [("sockets", guest.sockets), ("cores", guest.cores), ("threads", guest.threads)] {
        domain.set_attribute(topology, name, &value.to_string());
    }
}

/// Adds or removes huge pages of the host's default size.
pub(super) fn set_hugepages(domain: &mut Document, wanted: bool) {
    const PLACE: &str = "memoryBacking/hugepages";
    if wanted {
        ensure(domain, "memoryBacking", &[before("memoryBacking"), &["vcpu"]].concat());
        put(domain, &Setting::new(PLACE));
    } else if let Some(pages) = find(domain.root(), PLACE).map(Element::id) {
        domain.remove(pages);
        remove(domain, "memoryBacking");
    }
}

pub(super) fn set_emulator(domain: &mut Document, path: &str) {
    put(domain, &Setting::new("devices/emulator").text(path));
}

/// Sets the two flash images: the read-only code, and the template of the variables.
pub(super) fn set_firmware(domain: &mut Document, firmware: &Firmware) {
    // With this attribute libvirt selects a firmware itself and refuses an explicit one.
    let os = put(domain, &Setting::new("os"));
    domain.remove_attribute(os, "firmware");
    if let Some(features) = find(domain.root(), "os/firmware").map(Element::id) {
        domain.remove(features);
    }
    let loader = put(domain, &Setting::new("os/loader").with("readonly", "yes").with("type", "pflash").text(&firmware.code));
    set_or_remove(domain, loader, "secure", firmware.secure_boot.then_some("yes"));
    // Raw is libvirt's default; the attribute exists since libvirt 9.2.
    let format = (firmware.format != "raw").then_some(firmware.format.as_str());
    set_or_remove(domain, loader, "format", format);
    let nvram = put(domain, &Setting::new("os/nvram").with("template", &firmware.vars));
    set_or_remove(domain, nvram, "format", format);
    domain.remove_attribute(nvram, "templateFormat");
    // libvirt requires it for UEFI.
    ensure(domain, "features", &["os"]);
    put(domain, &Setting::new("features/acpi"));
    if firmware.secure_boot {
        // Firmware that keeps its keys from the guest does so in system management mode.
        put(domain, &Setting::new("features/smm").with("state", "on"));
    }
}

fn set_or_remove(domain: &mut Document, id: Id, name: &str, value: Option<&str>) {
    match value {
        Some(value) => domain.set_attribute(id, name, value),
        None => domain.remove_attribute(id, name),
    }
}
