//! Software: libvirt, what guests require and may use, Samba for shared folders.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host;
use crate::host::packages::{SOFTWARE, SoftwarePackage, of_image};
use crate::model::{Firmware, HostSource, LibvirtAnswer, Observed, Setup, at_least};

/// Since this version `<maxphysaddr mode='passthrough'/>` is supported (libvirt's formatdomain).
const WANTED: (u32, u32) = (8, 7);

/// The daemon, what it answers, its driver for QEMU, its version.
pub(super) fn libvirt(facts: &Facts) -> Vec<Check> {
    // If libvirt is not installed, the software check says so, and nothing else is checked.
    let is_there = SOFTWARE.iter().any(|piece| piece.name == "libvirt" && piece.is_there(facts.setup));
    if !is_there {
        return Vec::new();
    }
    [Some(daemon(facts)), answer(facts), driver(facts), version(facts)].into_iter().flatten().collect()
}

fn daemon(facts: &Facts) -> Check {
    let (setup, observed) = (facts.setup, facts.observed);
    let check = |seen: String| Check::ok("libvirt-daemon", Topic::Software, "libvirt's daemon", seen);
    let Some(sockets) = &observed.libvirt_sockets else {
        return check(String::new()).unknown(observed.reach.because()).minor();
    };
    if let Some(socket) = sockets.first() {
        return check(format!("listens on {socket}"));
    }
    let unit = if setup.has("virtqemud") && !setup.has("libvirtd") { "virtqemud.socket" } else { "libvirtd.socket" };
    if !setup.has("libvirtd") && !setup.has("virtqemud") {
        return not_installed(facts, check("is not installed".into()), "libvirt", "it runs the guests");
    }
    check("is not running: no socket in /run/libvirt".into())
        .missing(NextStep::Software, "it runs the guests", format!("systemctl enable --now {unit}"))
        .by_command()
}

fn answer(facts: &Facts) -> Option<Check> {
    let check = |seen: String| Check::ok("libvirt-answer", Topic::Software, "libvirt", seen);
    Some(match facts.observed.libvirt.as_ref()? {
        LibvirtAnswer::Connected { uri, unread, .. } if unread.is_empty() => check(format!("{uri} answers")).minor(),
        LibvirtAnswer::Connected { uri, unread, .. } => {
            check(format!("{uri} answers")).unknown(&format!("these domains cannot be read: {}; they may use the card", unread.join(", ")))
        }
        LibvirtAnswer::Failed { because, remedy } => {
            check(because.clone()).care("vgapt cannot define or start a domain, and the domains that use a card are unknown", remedy)
        }
    })
}

fn driver(facts: &Facts) -> Option<Check> {
    let check = |seen: &str| Check::ok("libvirt-qemu", Topic::Software, "libvirt's driver for QEMU", seen);
    let remedy = install(facts, "libvirt");
    let is_there = facts.observed.qemu_driver?;
    Some(if is_there {
        check("is installed").minor()
    } else {
        check("was not found").care("without it libvirt cannot run QEMU guests", remedy)
    })
}

fn version(facts: &Facts) -> Option<Check> {
    let versions = &facts.observed.versions;
    let said = versions.get("libvirtd").or_else(|| versions.get("virtqemud")).or_else(|| versions.get("virsh"));
    let check = |seen: &str| Check::ok("libvirt-version", Topic::Software, "libvirt's version", seen.to_owned());
    let number = said.and_then(|said| said.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())));
    let (Some(said), Some(number)) = (said, number) else {
        let is_live = facts.observed.reach.is_live();
        return is_live.then(|| check("").unknown("no libvirt program reports it").minor());
    };
    let check = check(said);
    Some(match at_least(number, WANTED.0, WANTED.1) {
        Some(false) => check.care(
            "before 8.7 it cannot expose the host's address width to a guest, which cards with large memory need",
            "update the distribution",
        ),
        _ => check.minor(),
    })
}

/// Proxmox VE runs its own guests, without libvirt.
pub(super) fn proxmox(facts: &Facts) -> Option<Check> {
    facts.host.platform.distribution.is_proxmox().then(|| {
        Check::ok("proxmox", Topic::Software, "Proxmox VE", "runs its own guests without libvirt").care(
            "vgapt sees only the guests of libvirt, and Proxmox VE only its own: neither notices that the other's guest has a card",
            "let no guest of Proxmox VE have the card that a domain of vgapt has; or pass it through in Proxmox VE itself: qm set VMID --hostpci0 ADDRESS",
        )
    })
}

/// Where the disc with the virtio drivers comes from, for distributions that have no package of it.
const VIRTIO_DISC: &str =
    "download virtio-win.iso (https://github.com/virtio-win/virtio-win-pkg-scripts#downloads) into /var/lib/libvirt/images";

pub(super) fn components(facts: &Facts) -> Vec<Check> {
    SOFTWARE.iter().map(|piece| component(facts, piece)).collect()
}

fn component(facts: &Facts, piece: &SoftwarePackage) -> Check {
    let check = |seen: String| Check { minor: !piece.required, ..Check::ok("software", Topic::Software, piece.name, seen) };
    let version = facts.observed.versions.get(piece.program);
    if piece.is_there(facts.setup) {
        let firmware = facts.setup.firmwares.first().filter(|_| piece.program.is_empty()).map(|best| of_firmware(facts.setup, best));
        return check(firmware.or_else(|| version.cloned()).unwrap_or_else(|| "is installed".to_owned()));
    }
    if !facts.observed.reach.is_live() && facts.setup.programs.is_empty() {
        return Check { minor: true, ..check(String::new()).unknown(facts.observed.reach.because()) };
    }
    let check = Check { minor: false, ..check("is not installed".into()) };
    if piece.required { not_installed(facts, check, piece.name, piece.why) } else { check.care(piece.why, install(facts, piece.name)) }
}

/// The firmware that guests get; the setup of Windows 11 requires one with Microsoft's keys.
fn of_firmware(setup: &Setup, best: &Firmware) -> String {
    match setup.firmwares.iter().find(|firmware| firmware.secure_boot && firmware.has_keys) {
        Some(secure) if secure.code == best.code => format!("is installed: {}", best.code),
        Some(secure) => format!("is installed: {}, and with Microsoft's keys {}", best.code, secure.code),
        None => format!("is installed: {}; none with Microsoft's keys, which the setup of Windows 11 requires", best.code),
    }
}

fn not_installed(facts: &Facts, check: Check, name: &str, why: &str) -> Check {
    let check = check.missing(NextStep::Software, why, install(facts, name));
    if install_command(facts, name).is_ok() { check.by_command() } else { check }
}

fn install(facts: &Facts, name: &str) -> String {
    let by_hand = || format!("install {name} with this distribution's package manager");
    install_command(facts, name).unwrap_or_else(|no_command| no_command.unwrap_or_else(by_hand))
}

/// The command that installs it; the error is what is done instead of a command, if that is known.
fn install_command(facts: &Facts, name: &str) -> Result<String, Option<String>> {
    let distribution = &facts.host.platform.distribution;
    let package = SOFTWARE.iter().find(|piece| piece.name == name).and_then(|piece| piece.package(distribution)).ok_or(None)?;
    match of_image(facts.setup, package) {
        Some(way) => way.map_err(Some),
        None => distribution.install_command(package).ok_or(None),
    }
}

pub(super) fn virtio_disc(facts: &Facts) -> Check {
    let check = |seen: String| Check::ok("virtio-win", Topic::Software, "virtio drivers for Windows", seen);
    match facts.observed.virtio_discs.as_deref() {
        None => check(String::new()).unknown(&facts.because_closed("/var/lib/libvirt/images")).minor(),
        Some([]) => check("no virtio-win.iso was found in the usual places".into())
            .care("Windows has no drivers of its own for virtio disks and networks", VIRTIO_DISC),
        Some([first, ..]) => check(first.clone()).minor(),
    }
}

const WHY_SHARE: &str = "a defined guest uses this share, and libvirt does not set it up";

/// Whether Samba serves the folders that guests share.
pub(super) fn shared_folders(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = facts.observed.smb_wanted.iter().map(|folder| folder_check(facts, folder)).collect();
    if !checks.is_empty() {
        checks.extend(listening(facts));
    }
    checks
}

/// A domain that cannot be read may use a shared folder.
pub(super) fn unknown_folders(facts: &Facts) -> Option<Check> {
    let Observed { smb_unknown, reach, .. } = facts.observed;
    let check = || Check::ok("samba-share", Topic::Software, "folders shared with guests by Samba", "");
    let check = (!smb_unknown.is_empty()).then(|| check().unknown(&smb_unknown.join("; ")))?;
    // An ordinary user may not read the domains, and a recording never has them.
    let is_usual = matches!(reach, HostSource::Live { root: false } | HostSource::Recorded);
    Some(if is_usual { check.minor() } else { check })
}

fn folder_check(facts: &Facts, folder: &str) -> Check {
    let setup = facts.setup;
    let check = |seen: String| Check::ok("samba-share", Topic::Software, format!("the shared folder {folder}"), seen);
    let remedy = |more: &str| format!("vgapt prepare --share-smb {folder}{more}");
    if !setup.has("smbd") {
        return check("is not served: Samba is not installed".into()).care(WHY_SHARE, remedy(" --install"));
    }
    if !host::is_shared(setup, folder) {
        return check("is not in Samba's configuration".into()).care(WHY_SHARE, remedy(""));
    }
    check("is in Samba's configuration".into()).minor()
}

/// A Samba that was started before the network had an address does not listen there.
fn listening(facts: &Facts) -> Option<Check> {
    let Setup { networks, .. } = facts.setup;
    let check = |seen: String| Check::ok("samba", Topic::Software, "Samba", seen);
    let Some(listeners) = &facts.observed.smb_listeners else {
        return Some(check(String::new()).unknown(facts.observed.reach.because()).minor());
    };
    if !facts.setup.has("smbd") {
        return None;
    }
    let remedy = "systemctl restart smbd.service, or smb.service";
    let reaches_guests =
        listeners.iter().any(|address| address.is_unspecified() || networks.iter().any(|network| network.address == *address));
    Some(if listeners.is_empty() {
        check("does not listen".into()).care(WHY_SHARE, remedy)
    } else if !reaches_guests && !networks.is_empty() {
        check("does not listen on a guest network".into()).care(WHY_SHARE, remedy)
    } else if !reaches_guests {
        let because = "libvirt's guest networks are unknown, and so is whether Samba listens on them";
        check(String::new()).unknown(because).minor()
    } else {
        check("listens".into()).minor()
    })
}
