//! Manual changes to what vgapt wrote, which are therefore left unchanged.

use super::present::present;
use crate::domain::base::Base;
use crate::domain::request::Request;
use crate::domain::setting::{Group, is_changed};
use crate::domain::spec::Spec;
use crate::domain_xml::{are_pinned, hostdev_of, memory};

/// Messages about what is left unchanged although the last request was different.
pub fn manual_changes(base: &Base, spec: &Spec) -> Vec<String> {
    let root = base.domain.root();
    let is_pinned_by_vgapt = base.last.as_ref().is_some_and(|last| last.settings.contains_key(&Group::Pinning));
    let stays = spec.cpus.is_some() && !base.is_new && !is_pinned_by_vgapt && are_pinned(root);
    let stays = stays && !spec.changes.iter().any(|change| change.group == Group::Pinning);
    let foreign_pins =
        stays.then(|| "the vCPU pinning was set manually and stays unchanged; use --pin to replace it with vgapt's".to_owned());
    let mut kept: Vec<String> = foreign_pins.into_iter().collect();
    let Some(last) = &base.last else { return kept };
    let text = |path: &str| root.at(path).map(|element| element.text().to_owned());
    let now = [
        ("memory", spec.memory.is_some(), memory(root).map(|size| size.to_string())),
        ("cpus", spec.cpus.is_some(), text("vcpu")),
        ("emulator", spec.emulator.is_some(), text("devices/emulator")),
        ("loader", spec.firmware.is_some(), text("os/loader")),
    ];
    for (name, written_now, now) in now {
        let changed = last.wrote.get(name).zip(now).filter(|(wrote, now)| *wrote != now && !written_now);
        if let Some((wrote, now)) = changed {
            kept.push(format!(
                "{name} was changed manually to {now} and stays unchanged (vgapt wrote {wrote}); use --{name} with a new value to change it"
            ));
        }
    }
    let taken_over = last
        .settings
        .iter()
        .filter(|(group, written)| is_changed(root, written) && !spec.changes.iter().any(|change| change.group == **group));
    kept.extend(taken_over.map(|(group, _)| match group {
        Group::Pinning => {
            "the vCPU pinning was changed manually and stays unchanged; use --no-pin and then --pin to replace it with vgapt's".to_owned()
        }
        group => format!("changed manually, stays unchanged: {}", group.name()),
    }));
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
