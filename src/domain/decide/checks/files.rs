//! What speaks against the files of a domain: not there, out of QEMU's reach, firmware that does not match.

use std::path::Path;

use crate::domain::base::Base;
use crate::domain::request::Request;
use crate::domain::request::extras::DiskCache;
use crate::domain::spec::Disk;
use crate::domain_xml::{self, drives};
use crate::model::{FileFacts, Files, Finding, Firmware, Size, format_by_name, shell_word};
use crate::xml::Document;

/// Smaller files are no firmware images but stand-ins; an OVMF variable store has at least 64 KiB.
const SMALLEST_FIRMWARE: u64 = 64 << 10;

/// Is it there, a file, and in reach of QEMU's user?
pub(super) fn file(path: &str, wanted: &Request, files: &Files) -> Option<Finding> {
    let facts = files.of(path)?;
    if facts.is_dir {
        return Some(Finding::fatal("not-a-file", format!("{path} is a directory"), "name the image in it"));
    }
    if facts.is_stream {
        let message = format!("{path} is a named pipe, a socket or a character device, and no image");
        return Some(Finding::fatal("not-a-file", message, "name a file or a block device"));
    }
    match facts.exists {
        Some(false) => Some(Finding::blocker("no-such-file", format!("there is no file {path}"), how_to_get(path, wanted))),
        Some(true) => closed(facts, files),
        None => None,
    }
}

/// Does the host use the disk itself, is its format certain, and does it name other files?
pub(super) fn disk(disk: &Disk, files: &Files) -> Vec<Finding> {
    let use_of_it = in_use(disk, files);
    let format = format(disk, files);
    use_of_it.into_iter().chain(format).chain(outside(disk, files)).collect()
}

/// The files that the disks of a domain are, which somebody else wrote: a script that was read, a template.
pub fn disk_paths(domain: &Document) -> Vec<String> {
    brought(domain, &Files::default()).into_iter().map(|disk| disk.path).collect()
}

/// What speaks against these disks. `state` says where the format of one is stated, `go_on` what to do where a
/// disk rightly lies on a file elsewhere.
pub fn of_disks(domain: &Document, files: &Files, state: &str, go_on: &str) -> Vec<Finding> {
    let disks = brought(domain, files);
    let mut findings: Vec<Finding> = disks.iter().flat_map(|found| disk(found, files)).collect();
    for finding in &mut findings {
        match finding.code {
            "format-unclear" | "format-unread" => {
                finding.remedy =
                    format!("state its format {state}; the guest of a raw disk can write what makes it look like another format");
            }
            "backing-outside" => finding.remedy = format!("whoever made the disk may want to see that file; if it is right, {go_on}"),
            _ => {}
        }
    }
    findings.extend(unknown_files(&disks.into_iter().map(|disk| disk.path).collect::<Vec<_>>(), files));
    findings
}

/// The disks of a domain that are files or devices, by elements of libvirt's and by options of QEMU's own.
fn brought(domain: &Document, files: &Files) -> Vec<Disk> {
    let by_elements = domain_xml::disks(domain.root()).filter_map(|disk| {
        let path = disk.path().filter(|path| path.starts_with('/'))?.to_owned();
        // Nobody writes to a CD: it is what it is taken for.
        let is_stated = disk.format.is_some() || disk.is_cdrom();
        // libvirt takes a disk for raw where nothing is stated.
        Some(Disk { path, cache: DiskCache::Writeback, is_stated, format: disk.format.unwrap_or_else(|| "raw".to_owned()) })
    });
    let images = drives(domain).images.into_iter().filter(|drive| drive.file.starts_with('/'));
    let by_options = images.map(|drive| {
        // QEMU looks at the content where nothing is stated.
        let content = || files.of(&drive.file).and_then(|facts| facts.format.clone()).unwrap_or_else(|| "raw".to_owned());
        let is_stated = drive.format.is_some() || drive.read_only;
        let format = drive.format.clone().unwrap_or_else(content);
        Disk { path: drive.file, cache: DiskCache::Writeback, is_stated, format }
    });
    by_elements.chain(by_options).collect()
}

/// Two that write to one file system destroy it.
fn in_use(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    if let Some(what) = files.of(path).and_then(|facts| facts.in_use.as_ref()) {
        let message = format!("{path} is {what}: host and guest would destroy each other's data");
        return Some(Finding::fatal("disk-in-use", message, "let the host go of it (umount, swapoff), or take another disk"));
    }
    let of_disks = |because: &&String| ["/proc/mounts", "/proc/swaps", "/sys/class/block"].iter().any(|place| because.contains(place));
    if let Some(because) = files.uses.unknown.iter().find(of_disks).filter(|_| path.starts_with("/dev/")) {
        let message = format!("whether the host uses {path} is not known: {because}");
        return Some(Finding::blocker("disk-use-unknown", message, "run it as root, on the host itself"));
    }
    let moves = path.strip_prefix("/dev/").is_some_and(|name| ["sd", "nvme", "hd", "vd"].iter().any(|kind| name.starts_with(kind)));
    moves.then(|| {
        let message = format!("{path} may be another disk after the next start of the host");
        Finding::warning("disk-name-moves", message, "name it as one of /dev/disk/by-id does: ls -l /dev/disk/by-id")
    })
}

/// The guest of a raw disk can write what makes it look like another format that names a file of the
/// host: where name and content disagree, the user states the format.
fn format(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    let facts = files.of(path).filter(|_| !disk.is_stated)?;
    if let Some(because) = &facts.unread {
        let message = format!("{path} cannot be read ({because}); its format is taken for {}", disk.format);
        let remedy = format!("state it: --disk-format {}; or run it as a user who may read the disk", disk.format);
        let is_known = disk.format == "raw" || format_by_name(Path::new(path)).is_some();
        return Some(if is_known { Finding::warning } else { Finding::blocker }("format-unread", message, remedy));
    }
    let content = facts.format.as_deref().filter(|content| *content != "luks")?;
    let is_device = path.starts_with("/dev/");
    let by_name = if is_device { Some("raw") } else { format_by_name(Path::new(path)) }?;
    (content != by_name && content != "raw").then(|| {
        let by = if is_device { "is a device, so raw" } else { &format!("is {by_name} by its name") };
        Finding::fatal(
            "format-unclear",
            format!("{path} {by}, and its content looks like {content}"),
            format!("state which it is: --disk-format raw, or --disk-format {content}; the guest of a raw disk can write what makes it look like another format"),
        )
    })
}

/// A header that names files elsewhere gives them to the guest.
fn outside(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    let facts = files.of(path).filter(|_| disk.format != "raw")?;
    let in_pool = |name: &str| name.rsplit_once('/').is_some_and(|(folder, _)| files.pools.iter().any(|pool| pool == folder));
    let names: Vec<&str> = facts.names.iter().map(String::as_str).filter(|name| !in_pool(name)).collect();
    let not_known = |because: &str| format!("whether {path} gives the guest other files of the host is not known: {because}");
    let remedy = "run it as a user who may read the disk";
    if let Some(because) = facts.unread.as_ref().filter(|_| disk.is_stated) {
        return Some(Finding::warning("backing-unread", not_known(&format!("it cannot be read ({because})")), remedy));
    }
    if let Some(because) = facts.names_unknown.as_ref().filter(|_| names.is_empty()) {
        return Some(Finding::blocker("backing-unread", not_known(because), format!("{remedy}, and what it lies on; or use --force")));
    }
    (!names.is_empty()).then(|| {
        Finding::blocker(
            "backing-outside",
            format!(
                "the disk {path} gives the guest what is in {}, which is outside the disk's own folder and libvirt's storage pools",
                names.join(" and ")
            ),
            "whoever made the disk may want to see that file; if it is right, use --force",
        )
    })
}

/// Is it a folder?
pub(super) fn folder(path: &str, files: &Files) -> Option<Finding> {
    let facts = files.of(path)?;
    match facts.exists {
        Some(true) if !facts.is_dir => Some(Finding::fatal("not-a-folder", format!("{path} is no folder"), "share the folder it is in")),
        Some(false) => {
            Some(Finding::blocker("no-such-folder", format!("there is no folder {path}"), format!("mkdir -p {}", shell_word(path))))
        }
        _ => None,
    }
}

fn how_to_get(path: &str, wanted: &Request) -> String {
    if wanted.disk.iter().any(|disk| disk == path) && path.starts_with("/dev/") {
        "name a device that is there: ls -l /dev/disk/by-id".into()
    } else if wanted.disk.iter().any(|disk| disk == path) {
        // In the format that its name says, as the domain gets it.
        format!("make it: vgapt disk create {} 100G", shell_word(path))
    } else if wanted.virtio_iso.as_deref() == Some(path) {
        "get virtio-win.iso from https://fedorapeople.org/groups/virt/virtio-win/direct-downloads/stable-virtio/".into()
    } else if wanted.cdrom.as_deref() == Some(path) {
        "look where the image was saved".into()
    } else {
        "leave --loader and --nvram-template out to take the host's own firmware".into()
    }
}

fn closed(facts: &FileFacts, files: &Files) -> Option<Finding> {
    let user = files.qemu_user.as_deref()?;
    let folders = facts.closed_folders.iter().map(|folder| shell_word(folder)).collect::<Vec<_>>().join(" ");
    (!folders.is_empty()).then(|| {
        let assumed = files.assumed_user.as_ref().map(|because| format!(" ({user} is assumed: {because})")).unwrap_or_default();
        let message = format!("QEMU's user {user} cannot reach {}: it may not pass {folders}{assumed}", facts.path);
        Finding::blocker("closed-folder", message, format!("setfacl -m u:{user}:x {folders}"))
    })
}

/// Which of these could not be looked at?
pub(super) fn unknown_files(asked: &[String], files: &Files) -> Option<Finding> {
    let found = |path: &str| files.firmwares.iter().any(|firmware| firmware.code == path || firmware.vars == path);
    let cannot_tell = |path: &&str| !found(path) && files.of(path).is_none_or(|facts| facts.exists.is_none());
    let unknown: Vec<&str> = asked.iter().map(String::as_str).filter(cannot_tell).collect();
    (!unknown.is_empty()).then(|| {
        // Without the host's tree there are no facts of any file; with it, those of a folder that is closed.
        let out_of_reach = unknown.iter().all(|path| files.of(path).is_none());
        let remedy = if out_of_reach {
            "the files of a host behind this connection are not read: see that they are there, or run vgapt on that host with --connect qemu:///system"
        } else if files.complete {
            "run it as root, who may pass the folders on the way"
        } else {
            "a recorded machine does not hold them: run vgapt on the machine itself"
        };
        Finding::warning("files-unknown", format!("could not be looked at from here: {}", unknown.join(", ")), remedy)
    })
}

/// No firmware was found for a domain that needs one.
pub(crate) fn no_firmware(files: &Files) -> Finding {
    let message = "no UEFI firmware for guests was found";
    let remedy = "install it (Debian, Ubuntu: apt install ovmf; Fedora: dnf install edk2-ovmf; Arch: pacman -S edk2-ovmf; openSUSE: zypper install qemu-ovmf-x86_64), or name it with --loader and --nvram-template";
    if files.complete {
        Finding::blocker("no-firmware", message, remedy)
    } else {
        Finding::warning("no-firmware", format!("{message}; the domain is left with its BIOS"), remedy)
    }
}

/// No firmware with Microsoft's keys was found for a system whose setup asks for Secure Boot.
pub(crate) fn no_secure_firmware(plain: Option<&Firmware>) -> Finding {
    let remedy = "install one with Microsoft's keys (Debian, Ubuntu: apt install ovmf; Fedora: dnf install edk2-ovmf; openSUSE: zypper install qemu-ovmf-x86_64; Arch's has no keys), or name it with --loader and --nvram-template";
    let asks = "this system's setup asks for UEFI with Secure Boot, and no firmware with Microsoft's keys was found";
    match plain {
        Some(firmware) => {
            let message = format!("{asks}: the setup refuses {}, with which an installed system boots", firmware.code);
            Finding::warning("no-secure-firmware", message, remedy)
        }
        None => Finding::blocker("no-secure-firmware", format!("{asks}, nor any other UEFI: it does not boot with a BIOS"), remedy),
    }
}

/// Code and variables fill one flash chip of 2, 4, 8, … MiB together (`FD_SIZE` of edk2's `OvmfPkg`).
pub(super) fn pair(firmware: &Firmware, files: &Files) -> Option<Finding> {
    let Firmware { code, vars, .. } = firmware;
    let size = |path: &str| {
        files
            .of(path)
            .filter(|facts| facts.format.as_deref() == Some("raw"))
            .and_then(|facts| facts.size)
            .filter(|size| *size >= SMALLEST_FIRMWARE)
    };
    let (of_code, of_vars) = (size(code)?, size(vars)?);
    (!(of_code + of_vars).is_power_of_two()).then(|| {
        let message = format!("{code} ({}) and {vars} ({}) do not belong together", Size::from_bytes(of_code), Size::from_bytes(of_vars));
        Finding::blocker(
            "firmware-mismatch",
            message,
            "take both from one set: OVMF_CODE_4M.fd goes with OVMF_VARS_4M.fd, OVMF_CODE.fd with OVMF_VARS.fd",
        )
    })
}

/// A domain's own variables were copied from the image that belongs to its firmware.
pub(crate) fn other_firmware(base: &Base, code: &str) -> Option<Finding> {
    let os = base.domain.root().child("os")?;
    let own = os.child("nvram").map(crate::xml::Element::text).filter(|path| !path.is_empty())?;
    let before = os.child("loader").map(crate::xml::Element::text).filter(|before| !before.is_empty() && *before != code)?;
    let message = format!("{own} holds the variables of {before}, which {code} may not understand");
    Some(Finding::warning(
        "other-firmware",
        message,
        format!(
            "let libvirt copy them anew at the next start: virsh -c {} start --reset-nvram {}",
            shell_word(&base.uri),
            shell_word(&base.name)
        ),
    ))
}
