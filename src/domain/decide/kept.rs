//! Manual changes to what vgapt wrote, which are therefore left unchanged.

use super::present::present;
use crate::domain::base::Base;
use crate::domain::edit::{Part, find, says, words};
use crate::domain::request::Request;
use crate::domain::spec::Spec;
use crate::domain_xml::{are_pinned, hostdev_of, size_of};

/// Messages about what is left unchanged although the last request was different.
pub fn manual_changes(base: &Base, spec: &Spec) -> Vec<String> {
    let root = base.domain.root();
    let is_written = |part| spec.edits.iter().any(|edit| edit.part == part);
    let is_pinned_by_vgapt = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
    let mut kept = Vec::new();
    if spec.cpus.is_some() && !base.is_new && !is_pinned_by_vgapt && are_pinned(root) && !is_written(Part::Pinning) {
        kept.push("the vCPU pinning was set manually and stays unchanged; use --pin to replace it with vgapt's".to_owned());
    }
    let Some(last) = &base.last else { return kept };
    for (part, entries) in last.written.parts().filter(|(part, _)| !is_written(*part)) {
        match policy(part) {
            Kept::Until(option) => kept.extend(entries.iter().filter(|(_, entry)| entry.says.contains_key("")).filter_map(|(path, entry)| {
                let now = find(root, path).filter(|now| !says(*now, &entry.says))?;
                let shown = if part == Part::Memory { size_of(now)?.to_string() } else { now.text().to_owned() };
                Some(format!(
                    "{option} was changed manually to {shown} and stays unchanged (vgapt wrote {}); use --{option} with a new value to change it",
                    words(&entry.says)
                ))
            })),
            Kept::Whole(message) if last.written.is_changed(part, root) => kept.push(message.to_owned()),
            Kept::Silently | Kept::Whole(_) => {}
        }
    }
    let gone = last
        .passed
        .iter()
        .filter(|passed| hostdev_of(root, passed.address).is_none())
        .filter(|_| spec.cards.is_none() && spec.functions.is_none());
    kept.extend(gone.map(|passed| {
        format!(
            "{} was removed manually and is not added again; to add it, use --no-gpu or --no-pci, and then --gpu or --pci again",
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
    /// The part as a whole, with this message.
    Whole(&'static str),
}

fn policy(part: Part) -> Kept {
    match part {
        Part::Memory => Kept::Until("memory"),
        Part::Cpus => Kept::Until("cpus"),
        Part::Emulator => Kept::Until("emulator"),
        Part::Firmware => Kept::Until("loader"),
        Part::Pinning => {
            Kept::Whole("the vCPU pinning was changed manually and stays unchanged; use --no-pin and then --pin to replace it with vgapt's")
        }
        Part::Numa => Kept::Whole("changed manually, stays unchanged: NUMA node of the memory"),
        Part::Processor => Kept::Whole("changed manually, stays unchanged: processor features"),
        Part::Guest => Kept::Whole("changed manually, stays unchanged: features for the guest system"),
        Part::Pages => Kept::Whole("changed manually, stays unchanged: huge page size"),
        Part::Regions => Kept::Whole("changed manually, stays unchanged: address space for cards"),
        Part::Sharing => Kept::Whole("changed manually, stays unchanged: shared memory and sound"),
        Part::Hugepages | Part::Balloon | Part::Identity | Part::Disks | Part::Cards | Part::Functions | Part::Usb | Part::Devices => {
            Kept::Silently
        }
    }
}
