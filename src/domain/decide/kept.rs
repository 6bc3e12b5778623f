//! Manual changes to what vgapt wrote, which are therefore left unchanged. A clone has its own disks, and `vgapt disk swap`
//! changes them too.

use crate::domain::alias;
use crate::domain::base::Base;
use crate::domain::edit::{Edit, Part, find, says, words};
use crate::domain::request::Request;
use crate::domain::spec::Spec;
use crate::domain_xml::{Source, are_pinned, device_with_alias, hostdev_of, size_of};
use crate::xml::{Document, Element};

/// Messages about what is left unchanged although the last request was different.
pub fn manual_changes(base: &Base, spec: &Spec) -> Vec<String> {
    let root = base.domain.root();
    // Beside pins that stay, those of I/O threads are written, and those of vCPUs that are gone are removed.
    let is_first = |edit: &Edit| edit.path().is_some_and(|path| path == "cputune/vcpupin[vcpu=0]");
    let is_written = |part| spec.edits.iter().any(|edit| edit.part == part && (part != Part::Pinning || is_first(edit)));
    let is_pinned_by_vgapt = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
    let pin = base.option_that_pins();
    let mut kept = Vec::new();
    let speaks = base.differs(|request| (request.cpus, request.tuning.core_kind, request.tuning.io_threads));
    if speaks && !base.is_new && !is_pinned_by_vgapt && are_pinned(root) && !is_written(Part::Pinning) {
        kept.push(format!("the vCPU pinning was set by hand and stays as it is; use {pin} to replace it with vgapt's"));
    }
    if spec.keeps_topology {
        kept.push("the guest's <topology> was changed by hand and stays as it is; use --no-pin and then --pin to replace it with that of the pins".to_owned());
    }
    let Some(last) = &base.last else { return kept };
    for (part, entries) in last.written.parts().filter(|(part, _)| !is_written(*part)) {
        match policy(part) {
            Kept::Until(option) => kept.extend(entries.iter().filter(|(_, entry)| entry.says.contains_key("")).filter_map(|(path, entry)| {
                let now = find(root, path).filter(|now| !says(*now, &entry.says))?;
                let shown = if part == Part::Memory { size_of(now)?.to_string() } else { now.text().to_owned() };
                Some(format!(
                    "{option} was changed by hand to {shown} and stays as it is (vgapt wrote {}); use --{option} with a new value to change it",
                    words(&entry.says)
                ))
            })),
            Kept::Pins if last.written.is_changed(part, root) => {
                kept.push(format!("the vCPU pinning was changed by hand and stays as it is; use {pin} to replace it with vgapt's"));
            }
            Kept::Whole(message) if last.written.is_changed(part, root) => kept.push(message.to_owned()),
            Kept::Silently | Kept::Pins | Kept::Whole(_) => {}
        }
    }
    let gone = last
        .passed
        .iter()
        .filter(|passed| hostdev_of(root, passed.address).is_none())
        .filter(|_| spec.cards.is_none() && spec.functions.is_none());
    kept.extend(gone.map(|passed| {
        format!(
            "{} was removed by hand and is not added again; to add it, use --no-gpu or --no-pci, and then --gpu or --pci again",
            passed.address.short()
        )
    }));
    if spec.disks.is_none() {
        let asked = Request { disk: last.request.disk.clone(), ..Request::default() };
        kept.extend(present(&base.domain, &asked).1.into_iter().map(|changed| format!("{changed}; this stays unchanged")));
    }
    kept
}

/// How a manual change of a part is kept.
enum Kept {
    Silently,
    /// Until this option is given with a new value.
    Until(&'static str),
    /// The pins as a whole.
    Pins,
    /// The part as a whole, with this message.
    Whole(&'static str),
}

fn policy(part: Part) -> Kept {
    match part {
        Part::Memory => Kept::Until("memory"),
        Part::Cpus => Kept::Until("cpus"),
        Part::Emulator => Kept::Until("emulator"),
        Part::IoThreads => Kept::Until("io-threads"),
        Part::Title => Kept::Until("title"),
        Part::Description => Kept::Until("description"),
        Part::Firmware => Kept::Until("loader"),
        Part::Pinning => Kept::Pins,
        Part::Hypervisor => {
            Kept::Whole("whether the guest sees KVM was changed by hand and stays as it is; use --hide-kvm yes or no to change it")
        }
        Part::Numa => Kept::Whole(
            "these settings were changed by hand, so vgapt leaves them as they are: NUMA nodes of the memory, and the guest's own",
        ),
        Part::Processor => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: processor features"),
        Part::Guest => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: features for the guest system"),
        Part::Pages => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: huge page size"),
        Part::Allocation => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: when memory is allocated"),
        Part::Regions => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: address space for cards"),
        Part::Iommufd => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: iommufd"),
        Part::Sharing => Kept::Whole("these settings were changed by hand, so vgapt leaves them as they are: shared memory and sound"),
        Part::Display => Kept::Whole(
            "the window of --display was changed or removed by hand and stays as it is; use --display none and then --display again to replace it",
        ),
        Part::Hugepages
        | Part::Balloon
        | Part::Identity
        | Part::Disks
        | Part::Cards
        | Part::Functions
        | Part::Usb
        | Part::Devices
        | Part::Options => Kept::Silently,
    }
}

/// The last request with the disks and CDs that the domain has now, and messages about the differences.
pub fn present(domain: &Document, asked: &Request) -> (Request, Vec<String>) {
    let mut request = asked.clone();
    let mut changed = Vec::new();
    request.disk.clear();
    for (index, path) in asked.disk.iter().enumerate() {
        let name = format!("{}{index}", alias::DISK);
        request.disk.extend(now(domain, &name, "disk", path, &mut changed));
    }
    let cdroms = [("install", &mut request.cdrom), ("virtio", &mut request.virtio_iso)];
    for (name, image) in cdroms {
        if let Some(path) = image.take() {
            *image = now(domain, &format!("{}{name}", alias::CDROM), "CD", &path, &mut changed);
        }
    }
    (request, changed)
}

/// The present path of one of vgapt's disks; `None` if it has no path.
fn now(domain: &Document, name: &str, what: &str, asked: &str, changed: &mut Vec<String>) -> Option<String> {
    let Some(device) = device_with_alias(domain.root(), name) else {
        changed.push(format!("the {what} {asked} was requested, but was removed by hand"));
        return None;
    };
    match Source::of(device).as_ref().and_then(Source::path).map(str::to_owned) {
        Some(path) if path == asked => Some(path),
        Some(path) => {
            changed.push(format!("the {what} {asked} was requested, but the domain has {path}"));
            Some(path)
        }
        None => {
            let source = device.child("source").map(Element::attribute_names).into_iter().flatten().collect::<Vec<_>>().join(", ");
            let has = if source.is_empty() { "no medium".to_owned() } else { format!("a source without a path ({source})") };
            changed.push(format!("the {what} {asked} was requested, but the domain has {has}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_has_its_own() {
        let text = "<domain><devices><disk><source file='/b'/><alias name='ua-vgapt-disk-0'/></disk>
            <disk type='volume'><source pool='p' volume='v'/><alias name='ua-vgapt-disk-1'/></disk>
            <disk device='cdrom'><alias name='ua-vgapt-cdrom-install'/></disk></devices></domain>";
        let asked = Request { disk: vec!["/a".into(), "/c".into(), "/d".into()], cdrom: Some("/i".into()), ..Request::default() };
        let (request, changed) = present(&Document::parse(text).unwrap(), &asked);
        assert_eq!((request.disk, request.cdrom), (vec!["/b".to_owned()], None));
        assert_eq!(
            changed,
            [
                "the disk /a was requested, but the domain has /b",
                "the disk /c was requested, but the domain has a source without a path (pool, volume)",
                "the disk /d was requested, but was removed by hand",
                "the CD /i was requested, but the domain has no medium"
            ]
        );
    }
}
