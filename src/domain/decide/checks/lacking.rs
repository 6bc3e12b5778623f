//! What the guest lacks for its user: a picture, keyboard and mouse, a disk. Said when a domain is made, and when a request takes
//! the last one away.

use crate::domain::base::{Base, Purpose};
use crate::domain::record::Record;
use crate::domain::request::extras::Window;
use crate::domain::summary::{Input, PassedCard, PassedFunction, Summary};
use crate::model::{Finding, Host, Libvirt, shell_word};
use crate::passthrough;
use crate::xml::Document;

/// What the domain lacks with the changes that are to be written.
pub(crate) fn lacking(base: &Base, domain: &Document, record: &Record, host: &Host) -> Vec<Finding> {
    if base.purpose == Purpose::Detach {
        return Vec::new();
    }
    let before = Summary::of(&base.domain, base.last.as_ref(), host);
    let after = Summary::of(domain, Some(record), host);
    let is_lost = |lacks: fn(&Summary) -> bool| lacks(&after) && (base.is_new || !lacks(&before));
    let mut findings = Vec::new();
    let has_no_display = is_lost(|summary| !summary.has_graphics());
    let has_no_input = is_lost(|summary| summary.input.is_empty());
    if has_no_display {
        let input = if has_no_input { ", and no keyboard and mouse" } else { "" };
        findings.push(Finding::warning(
            "no-display",
            format!("the domain has no graphics card and no other display{input}"),
            "pass a card with --gpu, or open a window on this host with --display vnc",
        ));
    }
    let has_new_card = base.differs(|request| request.gpu.clone());
    if after.picture.is_empty() && !after.cards.is_empty() && (has_new_card || is_lost(|summary| summary.picture.is_empty())) {
        findings.extend(without_outputs(&after.cards, host));
    }
    if has_no_input && !has_no_display {
        findings.push(Finding::warning(
            "no-input",
            "the guest has no keyboard and no mouse",
            "switch the host's devices with --evdev /dev/input/by-id/…-event-kbd /dev/input/by-id/…-event-mouse, pass USB devices with --keyboard and --mouse, or open a window on this host with --display vnc",
        ));
    }
    if is_lost(|summary| summary.disks.is_empty()) && !has_own_storage(&after, host) {
        findings.push(Finding::warning(
            "no-disk",
            "the domain has no disk",
            format!(
                "make one: vgapt disk create {0} 100G; then add --disk {0}",
                shell_word(&format!("/var/lib/libvirt/images/{}.qcow2", base.name))
            ),
        ));
    }
    let is_asked = base.differs(|request| (request.pci.clone(), request.cdrom.clone(), request.virtio_iso.clone()));
    findings.extend(without_place(&after, host).filter(|_| is_asked));
    findings
}

/// The firmware keeps only boot entries of devices that libvirt gives a place in the order (`QemuBootOrderLib.c` of OVMF): with a
/// CD in the domain, that of a passed disk is lost at each boot.
fn without_place(after: &Summary, host: &Host) -> Option<Finding> {
    let is_disk = |function: &&PassedFunction| host.device(function.address).is_some_and(|device| device.class.base() == 0x01);
    let disk = after.functions.iter().find(is_disk).filter(|_| after.disks.is_empty() && !after.cds.is_empty())?;
    Some(Finding::warning(
        "passed-disk-boot",
        format!(
            "while the domain has a CD, its firmware does not boot from {}: only the CD has a place in the boot order, and a setup cannot go on after its first reboot",
            disk.address.short()
        ),
        "virsh edit: take <boot dev=…/> out of <os>, and write <boot order='1'/> into the <hostdev> and <boot order='2'/> into the CD's <disk>; or take the CDs out as soon as the setup has copied its files",
    ))
}

/// Cards that no monitor can be plugged into, in the words of `list` and `check`.
fn without_outputs(cards: &[PassedCard], host: &Host) -> Vec<Finding> {
    let is_passed = |card: &passthrough::Assessment| cards.iter().any(|passed| passed.address == card.address);
    let of_card = |card: passthrough::Assessment| {
        let at = card.address.short();
        card.warnings.into_iter().filter(|warning| matches!(warning.code, "muxless" | "no-outputs")).map(move |mut warning| {
            warning.message = format!("{at}: {}", warning.message);
            warning
        })
    };
    passthrough::assess(host).into_iter().filter(is_passed).flat_map(of_card).collect()
}

/// Whether a storage controller is passed, whose disks are not in the domain; or a function that the host does not show.
fn has_own_storage(summary: &Summary, host: &Host) -> bool {
    summary.functions.iter().any(|function| host.device(function.address).is_none_or(|device| device.class.base() == 0x01))
}

/// The window that is asked for is one that this QEMU does not have, or one that does not serve Looking Glass.
pub(crate) fn of_window(base: &Base, domain: &Document, record: &Record, host: &Host, libvirt: &Libvirt) -> Vec<Finding> {
    let extras = &base.wanted.extras;
    if base.purpose == Purpose::Detach || !base.differs(|request| (request.extras.display, request.extras.looking_glass.is_some())) {
        return Vec::new();
    }
    let window = extras.window();
    let is_missing = |window: &Window| libvirt.graphics.as_ref().is_some_and(|kinds| !kinds.contains(window.word()));
    let missing = window.filter(is_missing).map(|window| {
        let other = Window::ALL.into_iter().find(|other| !is_missing(other)).map_or("none", Window::word);
        let message = format!("QEMU on this host was built without {}, which the window needs", window.word().to_uppercase());
        Finding::blocked(
            "no-such-window",
            message,
            format!("use --display {other}; or install QEMU's module for it, if the distribution has one"),
        )
    });
    let is_input = |input: &Input| !matches!(input, Input::Window { protocol } if protocol != "spice");
    let is_served = || Summary::of(domain, Some(record), host).input.iter().any(is_input);
    let unserved = (extras.looking_glass.is_some() && window != Some(Window::Spice) && !is_served()).then(|| {
        Finding::warning(
            "looking-glass-input",
            "Looking Glass takes keyboard and mouse through SPICE, which this domain does not have",
            "leave --display out, or use --display spice; or switch the host's devices with --evdev",
        )
    });
    missing.into_iter().chain(unserved).collect()
}
