//! Writes a [`Spec`] into a base. Everything that vgapt does not manage stays byte for byte the same,
//! and merging a second time changes nothing.

use super::{attach, disks, hostdevs, multifunction, owned, setting, settings};
use crate::domain::alias;
use crate::domain::record::{self, Record, SINGLE_FUNCTIONS};
use crate::domain::setting::{Change, Setting};
use crate::domain::spec::Spec;
use crate::xml::{Document, Element};

/// Writes the changes into a domain.
pub fn merge(base: &Document, spec: &Spec) -> Document {
    let mut domain = base.clone();
    settings::set_name(&mut domain, &spec.name);
    if let Some(uuid) = &spec.uuid {
        settings::set_uuid(&mut domain, uuid);
    }
    if let Some(memory) = spec.memory {
        settings::set_memory(&mut domain, memory);
    }
    if let Some(cpus) = spec.cpus {
        settings::set_cpus(&mut domain, cpus);
    }
    if let Some(wanted) = spec.hugepages {
        settings::set_hugepages(&mut domain, wanted);
    }
    if let Some(firmware) = &spec.firmware {
        settings::set_firmware(&mut domain, firmware);
    }
    if let Some(emulator) = &spec.emulator {
        settings::set_emulator(&mut domain, emulator);
    }
    if let Some(disks) = &spec.disks {
        disks::set_disks(&mut domain, disks);
    }
    for cdrom in &spec.cdroms {
        disks::set_cdrom(&mut domain, cdrom);
    }
    if let Some(cards) = &spec.cards {
        hostdevs::set_slots(&mut domain, alias::GPU, cards);
    }
    if let Some(functions) = &spec.functions {
        hostdevs::set_slots(&mut domain, alias::PCI, functions);
    }
    if let Some(single) = spec.record.wrote.get(SINGLE_FUNCTIONS) {
        multifunction::unset(&mut domain, single);
    }
    if let Some(usb) = &spec.usb {
        hostdevs::set_usb(&mut domain, usb);
    }
    if let Some((function, file)) = &spec.rom {
        hostdevs::set_rom(&mut domain, *function, file.as_deref());
    }
    for owned in &spec.owned {
        owned::set(&mut domain, owned);
    }
    for Change { remove, put, .. } in &spec.changes {
        for path in remove {
            setting::remove(&mut domain, path);
        }
        for setting in put {
            setting::put(&mut domain, setting);
        }
    }
    for replacement in &spec.replacements {
        attach::replace(&mut domain, replacement);
    }
    if Record::of(&domain).unknown().is_some() {
        // `resolve` has reported an error, and nothing is defined; the record of a newer vgapt is not overwritten here either.
    } else if spec.removes_record {
        forget(&mut domain);
    } else {
        remember(&mut domain, spec);
    }
    domain
}

fn forget(domain: &mut Document) {
    if let Some(own) = record::element(domain).map(Element::id) {
        domain.remove(own);
    }
    setting::remove(domain, "metadata");
}

fn remember(domain: &mut Document, spec: &Spec) {
    if let Some(own) = record::element(domain).map(Element::id) {
        domain.set_text(own, &spec.record.text());
        return;
    }
    let metadata = setting::put(domain, &Setting::new("metadata"));
    domain.append(metadata, &spec.record.fragment());
}
