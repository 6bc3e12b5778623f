//! libvirt: its daemon, its driver for QEMU, its version.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::packages::SOFTWARE;
use crate::model::LibvirtAnswer;

/// Since this version `<maxphysaddr mode='passthrough'/>` is supported (libvirt's formatdomain).
const WANTED: (u32, u32) = (8, 7);

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    // If libvirt is not installed, the software check says so, and nothing else is checked.
    let is_there = SOFTWARE.iter().any(|piece| piece.name == "libvirt" && piece.is_there(prepared.facts.setup));
    if !is_there {
        return Vec::new();
    }
    [Some(daemon(prepared)), answer(prepared), driver(prepared), version(prepared)].into_iter().flatten().collect()
}

fn daemon(prepared: &Prepared) -> Check {
    let (setup, observed) = (prepared.facts.setup, prepared.facts.observed);
    let check = |seen: String| Check::ok("libvirt-daemon", Group::Software, "libvirt's daemon", seen);
    let Some(sockets) = &observed.libvirt_sockets else {
        return check(String::new()).unknown(observed.reach.because()).minor();
    };
    if let Some(socket) = sockets.first() {
        return check(format!("listens on {socket}"));
    }
    let unit = if setup.has("virtqemud") && !setup.has("libvirtd") { "virtqemud.socket" } else { "libvirtd.socket" };
    if !setup.has("libvirtd") && !setup.has("virtqemud") {
        return check("is not installed".into()).missing(
            Step::Software,
            "it runs the guests",
            super::software::install(prepared, "libvirt"),
        );
    }
    check("is not running: no socket in /run/libvirt".into()).missing(
        Step::Software,
        "it runs the guests",
        format!("systemctl enable --now {unit}"),
    )
}

fn answer(prepared: &Prepared) -> Option<Check> {
    let check = |seen: String| Check::ok("libvirt-answer", Group::Software, "libvirt", seen);
    Some(match prepared.facts.observed.libvirt.as_ref()? {
        LibvirtAnswer::Connected { uri, unread, .. } if unread.is_empty() => check(format!("{uri} answers")).minor(),
        LibvirtAnswer::Connected { uri, unread, .. } => {
            check(format!("{uri} answers")).unknown(&format!("these domains cannot be read: {}; they may use the card", unread.join(", ")))
        }
        LibvirtAnswer::Failed { because, remedy } => {
            check(because.clone()).care("vgapt cannot define or start a domain, and the domains that use a card are unknown", remedy)
        }
    })
}

fn driver(prepared: &Prepared) -> Option<Check> {
    let check = |seen: &str| Check::ok("libvirt-qemu", Group::Software, "libvirt's driver for QEMU", seen);
    let remedy = super::software::install(prepared, "libvirt");
    let is_there = prepared.facts.observed.qemu_driver?;
    Some(if is_there {
        check("is installed").minor()
    } else {
        check("was not found").care("without it libvirt cannot run QEMU guests", remedy)
    })
}

fn version(prepared: &Prepared) -> Option<Check> {
    let versions = &prepared.facts.observed.versions;
    let said = versions.get("libvirtd").or_else(|| versions.get("virtqemud")).or_else(|| versions.get("virsh"));
    let check = |seen: &str| Check::ok("libvirt-version", Group::Software, "libvirt's version", seen.to_owned());
    let number = said.and_then(|said| said.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())));
    let (Some(said), Some(number)) = (said, number) else {
        let is_live = prepared.facts.observed.reach.is_live();
        return is_live.then(|| check("").unknown("no libvirt program reports it").minor());
    };
    let check = check(said);
    Some(match crate::model::at_least(number, WANTED.0, WANTED.1) {
        Some(false) => check.care(
            "before 8.7 it cannot expose the host's address width to a guest, which cards with large memory need",
            "update the distribution",
        ),
        _ => check.minor(),
    })
}
