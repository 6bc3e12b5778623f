//! Verifies a domain after it was written: an edit may have failed, and libvirt may have changed or dropped something.

use super::record::Record;
use super::spec::{Disk, Slot, Spec};
use super::{alias, setting};
use crate::domain_xml::{self, device_with_alias, devices_with_alias, hostdev_of, passes_usb, size_of};
use crate::model::Reading;
use crate::xml::{Document, Element};

/// Messages about the parts of a spec that the domain does not have. Only what was written is compared.
pub fn differences(spec: &Spec, domain: &Document) -> Vec<String> {
    let root = domain.root();
    let mut differences = of_settings(spec, root);
    differences.extend(of_devices(spec, domain));
    let record = Record::of(domain);
    let is_remembered = if spec.removes_record { record == Reading::Absent } else { record.as_ref() == Reading::Known(&spec.record) };
    if !is_remembered {
        differences.push("vgapt's record in the metadata differs from what was written".to_owned());
    }
    differences
}

fn of_settings(spec: &Spec, root: Element<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, asked: Option<String>, now: Option<String>| {
        if let Some(asked) = asked.filter(|asked| now.as_ref() != Some(asked)) {
            let now = now.unwrap_or_else(|| "missing".to_owned());
            differences.push(format!("{what} is {now}, but {asked} was requested"));
        }
    };
    let text = |path: &str| root.at(path).map(|element| element.text().to_owned());
    compare("the name", Some(spec.name.trim().to_owned()), text("name"));
    let memory = |name: &str| root.child(name).and_then(size_of).map(|size| size.to_string());
    compare("the memory", spec.memory.map(|memory| memory.to_string()), memory("memory"));
    if root.child("currentMemory").is_some() {
        compare("the current memory", spec.memory.map(|memory| memory.to_string()), memory("currentMemory"));
    }
    compare("the number of processors", spec.cpus.map(|cpus| cpus.count.to_string()), text("vcpu"));
    let in_or_out = |is_in: bool| (if is_in { "in" } else { "out" }).to_owned();
    compare("huge pages", spec.hugepages.map(in_or_out), Some(in_or_out(root.at("memoryBacking/hugepages").is_some())));
    // `Element::text` ignores whitespace around a text.
    let trimmed = |asked: &String| asked.trim().to_owned();
    compare("the emulator", spec.emulator.as_ref().map(trimmed), text("devices/emulator"));
    compare("the firmware", spec.firmware.as_ref().map(|firmware| trimmed(&firmware.code)), text("os/loader"));
    for put in spec.changes.iter().flat_map(|change| &change.put) {
        if !setting::says(root, &put.path, &put.says) {
            let said = put.says.iter().map(|(name, value)| format!("{name}='{value}'")).collect::<Vec<_>>().join(" ");
            differences.push(format!("{} {said} was not written correctly", put.path));
        }
    }
    differences
}

fn of_devices(spec: &Spec, domain: &Document) -> Vec<String> {
    let root = domain.root();
    let mut differences = Vec::new();
    for (prefix, slots) in [(alias::GPU, &spec.cards), (alias::PCI, &spec.functions)] {
        let functions: Vec<_> = slots.iter().flatten().flat_map(|Slot { functions }| functions).collect();
        let missing = functions.iter().filter(|function| hostdev_of(root, ***function).is_none());
        differences.extend(missing.map(|function| format!("the PCI function {} is missing", function.short())));
        let wanted: Vec<String> = functions.iter().map(|function| alias::pci(prefix, **function)).collect();
        let surplus = devices_with_alias(root, prefix).filter(|(_, rest)| slots.is_some() && !wanted.contains(&format!("{prefix}{rest}")));
        differences.extend(surplus.map(|(_, rest)| format!("the device {prefix}{rest} is still there")));
    }
    let missing = spec.usb.iter().flatten().filter(|id| !passes_usb(root, **id));
    differences.extend(missing.map(|id| format!("the USB device {id} is missing")));
    if let Some((card, Some(file))) = &spec.rom {
        let rom = hostdev_of(root, *card).and_then(|hostdev| hostdev.child("rom")?.attribute("file"));
        if rom.as_deref() != Some(file) {
            differences.push(format!("{} does not have the ROM {file}", card.short()));
        }
    }
    differences.extend(spec.disks.iter().flatten().enumerate().filter_map(|(index, disk)| of_disk(index, disk, domain)));
    for cdrom in &spec.cdroms {
        let drive = device_with_alias(root, &format!("{}{}", alias::CDROM, cdrom.alias));
        let is_so = match &cdrom.image {
            Some(wanted) => drive.is_some_and(|drive| domain_xml::Disk::of(drive).path() == Some(wanted)),
            None => drive.is_none(),
        };
        if !is_so {
            differences.push(format!(
                "the CD drive {} {}",
                cdrom.alias,
                cdrom.image.as_ref().map_or_else(|| "still exists".to_owned(), |image| format!("does not contain {image}"))
            ));
        }
    }
    for owned in &spec.owned {
        let missing = owned.names().into_iter().filter(|name| device_with_alias(root, name).is_none());
        differences.extend(missing.map(|name| format!("the device {name} is missing")));
    }
    for replacement in &spec.replacements {
        // If the element was removed, libvirt may add its default.
        if !replacement.source.is_empty() && setting::find(root, &replacement.path).is_none() {
            differences.push(format!("{} is missing", replacement.path));
        }
    }
    differences
}

fn of_disk(index: usize, disk: &Disk, domain: &Document) -> Option<String> {
    let device = device_with_alias(domain.root(), &format!("{}{index}", alias::DISK)).map(domain_xml::Disk::of);
    let is_so = device.is_some_and(|now| now.path() == Some(&disk.path) && now.format.as_ref() == Some(&disk.format));
    (!is_so).then(|| format!("the disk {} ({}) was not written correctly", disk.path, disk.format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Size;

    #[test]
    fn what_was_dropped_or_changed_is_named() {
        let domain =
            |memory: u32| Document::parse(&format!("<domain><name>x</name><memory unit='GiB'>{memory}</memory></domain>")).unwrap();
        let spec = Spec { name: "x".into(), memory: Some(Size::from_mib(6 << 10)), removes_record: true, ..Spec::default() };
        assert_eq!(differences(&spec, &domain(6)), Vec::<String>::new());
        assert_eq!(differences(&spec, &domain(4)), ["the memory is 4 GiB, but 6 GiB was requested"]);
        let usb = Spec { usb: Some(vec!["046d:c31c".parse().unwrap()]), removes_record: false, ..spec };
        let found = differences(&usb, &domain(6));
        assert!(found.len() == 2 && found[0].contains("046d:c31c is missing") && found[1].contains("record"), "{found:?}");
    }
}
