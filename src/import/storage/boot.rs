//! The order in which the guest's firmware tries the disks: libvirt lets it try only those that the domain names.

use super::super::draft::Draft;
use super::disk::Disk;
use crate::xml::Fragment;

/// The letters of `-boot`, in the order in which SeaBIOS tries what is not named, with libvirt's words and the kinds of disks.
const DEVICES: [(char, &str, &[&str]); 4] =
    [('c', "hd", &["disk", "lun"]), ('a', "fd", &["floppy"]), ('d', "cdrom", &["cdrom"]), ('n', "network", &[])];

/// Writes the order of `-boot`, and behind it the other disks, which a firmware tries too.
pub(super) fn order(draft: &mut Draft, disks: &mut [Disk]) {
    let by_device = draft.options.iter().any(|option| option.boot_order().next().is_some());
    let mut letters = String::new();
    for index in draft.named(&["boot"]) {
        let (once, order) = (draft.take(index, "once"), draft.take(index, "order"));
        draft.fill_domain(index, "boot", "");
        if by_device && (once.is_some() || order.is_some()) {
            draft.notes.push("the order of -boot is left out, since devices have a bootindex".into());
        } else if let Some(once) = &once {
            draft.notes.push(format!(
                "once={once}: libvirt has one order for all starts, so the domain always starts as the script does at first; change it (virsh edit) when the guest is installed"
            ));
        }
        letters = once.into_iter().chain(order).collect();
        draft.native(index, "<boot>, <bootmenu>");
    }
    if by_device {
        return;
    }
    let is_there = |kinds: &[&str]| disks.iter().any(|disk| kinds.contains(&disk.kind.as_str()));
    let named = letters.chars().filter_map(|letter| DEVICES.iter().position(|(of, ..)| *of == letter));
    let others = (0..DEVICES.len()).filter(|device| is_there(DEVICES[*device].2));
    let mut order: Vec<usize> = Vec::new();
    for device in named.chain(others) {
        if !order.contains(&device) {
            order.push(device);
        }
    }
    // A passed device may have the only disk with a system: named beside others, these alone would be tried.
    let may_boot_elsewhere = !is_there(DEVICES[0].2) && !draft.devices(&["hostdev"]).is_empty();
    // The first disk alone is libvirt's default.
    if letters.is_empty() && (may_boot_elsewhere || (order == [0] && disks.len() == 1)) {
        return;
    }
    let are_several = order.iter().any(|device| disks.iter().filter(|disk| DEVICES[*device].2.contains(&disk.kind.as_str())).count() > 1);
    if !are_several || order.contains(&3) {
        for device in order {
            draft.domain.push("os", Fragment::new("boot").with("dev", DEVICES[device].1));
        }
        return;
    }
    // Of several of a kind, a word stands for the first one.
    let mut number = 0;
    for device in order {
        for disk in disks.iter_mut().filter(|disk| DEVICES[device].2.contains(&disk.kind.as_str())) {
            number += 1;
            disk.file.element.set("boot@order", number);
        }
    }
}
