//! The address of each disk: from its options, or assigned as QEMU does.

use super::super::draft::Draft;
use super::super::options::QemuOption;
use super::disk::{Disk, DiskAddress};

/// Assigns addresses to IDE, SATA and SCSI disks as QEMU does: first those that the options set, then free
/// ones to the other disks, in the order of the options (`drive_new` of `blockdev.c`).
pub(super) fn place(draft: &mut Draft, disks: &mut [Disk]) {
    let is_express = draft.is_express;
    for disk in disks.iter_mut().filter(|disk| disk.bus == "ide" && is_express) {
        disk.bus = "sata".into();
        // Six buses with one unit each.
        disk.place.unit = disk.place.index.or(disk.place.bus).or(disk.place.unit);
        disk.place.bus = None;
    }
    for disk in disks.iter_mut().filter(|disk| disk.bus == "ide") {
        if let Some(index) = disk.place.index {
            (disk.place.bus, disk.place.unit) = (Some(index / 2), Some(index % 2));
        }
    }
    for disk in disks.iter_mut().filter(|disk| disk.bus == "scsi") {
        // `if=scsi`: a bus is a controller, with seven units each.
        if let Some(index) = disk.place.index {
            (disk.place.controller, disk.place.unit) = (Some(index / 7), Some(index % 7));
        } else if disk.place.controller.is_none() && disk.place.target.is_none() && disk.file.options.len() == 1 {
            disk.place.controller = disk.place.bus.take();
        }
    }
    let mut order: Vec<usize> = (0..disks.len()).collect();
    order.sort_by_key(|at| disks[*at].order);
    let is_kept = |option: &&QemuOption| option.is_kept() && option.name == "drive" && option.peek("if").is_none_or(|bus| bus == "ide");
    let kept = draft.options.iter().filter(is_kept).filter_map(|option| option.peek("index")?.parse().ok());
    let reserved = |index: usize| {
        if is_express { ("sata".to_owned(), 0, 0, 0, index) } else { ("ide".to_owned(), 0, index / 2, 0, index % 2) }
    };
    let mut taken: Vec<(String, usize, usize, usize, usize)> = kept.map(reserved).collect();
    for says in [true, false] {
        for at in &order {
            let disk = &mut disks[*at];
            let (buses, units) = match disk.bus.as_str() {
                "ide" => (2, 2),
                "sata" => (1, 6),
                "scsi" => (1, 256),
                _ => continue,
            };
            let place = disk.place;
            if (place.unit.is_some() || place.target.is_some()) != says {
                continue;
            }
            let controller = place.controller.unwrap_or(0);
            let target = place.target.unwrap_or(0);
            let here = |bus: usize, unit: usize| (disk.bus.clone(), controller, bus, target, unit);
            let wanted = says.then(|| here(place.bus.unwrap_or(0), place.unit.unwrap_or(0)));
            let free = (0..buses).filter(|bus| place.bus.is_none_or(|asked| asked == *bus));
            let mut free = free.flat_map(|bus| (0..units).map(move |unit| (bus, unit))).map(|(bus, unit)| here(bus, unit));
            let is_clash = wanted.as_ref().is_some_and(|wanted| taken.contains(wanted));
            let got = wanted.filter(|wanted| !taken.contains(wanted)).or_else(|| free.find(|place| !taken.contains(place)));
            if is_clash {
                draft.notes.push(format!("{} has the address of another disk, which QEMU refuses: it gets a free address", disk.file.path));
            }
            if let Some((_, controller, bus, target, unit)) = got {
                disk.place =
                    DiskAddress { controller: Some(controller), bus: Some(bus), target: Some(target), unit: Some(unit), index: None };
                taken.push((disk.bus.clone(), controller, bus, target, unit));
            } else {
                draft.notes.push(format!("{} does not fit on the {} bus, which QEMU refuses: it is put on SATA", disk.file.path, disk.bus));
                let more = taken.iter().filter(|(bus, ..)| bus == "sata").map(|(_, controller, ..)| controller + 1).max().unwrap_or(0);
                disk.bus = "sata".into();
                disk.place = DiskAddress { controller: Some(more), ..DiskAddress::default() };
                taken.push((disk.bus.clone(), more, 0, 0, 0));
            }
        }
    }
    // libvirt sorts disks by target name, and boots them in that order: names follow addresses.
    let rank = |disk: &Disk| (disk.place.controller, disk.place.bus, disk.place.unit, disk.order);
    let slots: Vec<usize> = (0..disks.len()).filter(|at| ["ide", "sata"].contains(&disks[*at].bus.as_str())).collect();
    for (done, slot) in slots.iter().enumerate() {
        let least = slots[done..].iter().copied().min_by_key(|at| rank(&disks[*at]));
        disks.swap(*slot, least.unwrap_or(*slot));
    }
}
