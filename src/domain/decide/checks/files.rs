//! Checks of a domain's files: missing, not accessible to QEMU, in use by the host, firmware that does not match.

use std::path::Path;

use crate::domain::base::Base;
use crate::domain::request::Request;
use crate::domain::request::extras::{DiskCache, DiskDiscard};
use crate::domain::spec::Disk;
use crate::domain_xml::{self, drives};
use crate::model::{FileFacts, Files, Finding, Firmware, Size, format_by_name, shell_word};
use crate::xml::Document;

/// Smaller files are placeholders, not firmware images; an OVMF variable store has at least 64 KiB.
const SMALLEST_FIRMWARE: u64 = 64 << 10;

/// Does it exist, is it a file, and can QEMU's user access it?
pub(super) fn file(path: &str, wanted: &Request, files: &Files) -> Option<Finding> {
    let facts = files.of(path)?;
    if facts.is_dir {
        return Some(Finding::error("not-a-file", format!("{path} is a directory"), "name the image in it"));
    }
    if facts.is_stream {
        let message = format!("{path} is a named pipe, a socket or a character device, not an image");
        return Some(Finding::error("not-a-file", message, "name a file or a block device"));
    }
    match facts.exists {
        Some(false) => Some(Finding::blocked("no-such-file", format!("file {path} does not exist"), how_to_get(path, wanted, files))),
        Some(true) => closed(facts, files),
        None => None,
    }
}

/// Does the host use the disk itself, is its format certain, and does its header name other files?
pub(super) fn disk(disk: &Disk, files: &Files) -> Vec<Finding> {
    let use_of_it = in_use(disk, files);
    let format = format(disk, files);
    use_of_it.into_iter().chain(format).chain(outside(disk, files)).collect()
}

/// The paths of the disks in a domain that vgapt did not write: one from an imported script or a template.
pub fn disk_paths(domain: &Document) -> Vec<String> {
    brought(domain, &Files::default()).into_iter().map(|disk| disk.path).collect()
}

/// Problems with these disks. `state` says where to state a format, `go_on` how to continue if a backing file
/// elsewhere is intended.
pub fn of_disks(domain: &Document, files: &Files, state: &str, go_on: &str) -> Vec<Finding> {
    let disks = brought(domain, files);
    let mut findings: Vec<Finding> = disks.iter().flat_map(|found| disk(found, files)).collect();
    for finding in &mut findings {
        match finding.code {
            "format-unclear" | "format-unread" => {
                finding.remedy =
                    format!("state its format {state}; the guest of a raw disk can write a header that makes it look like another format");
            }
            "backing-outside" => {
                finding.remedy =
                    format!("check that file: whoever made the disk may use it to read files of the host; if you trust the disk, {go_on}");
            }
            _ => {}
        }
    }
    findings.extend(unknown_files(&disks.into_iter().map(|disk| disk.path).collect::<Vec<_>>(), files));
    findings
}

/// The disks of a domain that are files or devices, from libvirt's elements and from `<qemu:commandline>`.
fn brought(domain: &Document, files: &Files) -> Vec<Disk> {
    let by_elements = domain_xml::disks(domain.root()).filter_map(|disk| {
        let path = disk.path().filter(|path| path.starts_with('/'))?.to_owned();
        // The guest cannot write to a CD, so that its format can be trusted.
        let is_stated = disk.format.is_some() || disk.is_cdrom();
        // If no format is stated, libvirt uses raw.
        Some(Disk {
            is_block_device: files.is_block_device(&path),
            has_large_sectors: false,
            path,
            cache: DiskCache::Writeback,
            discard: DiskDiscard::Unmap,
            detect_zeroes: false,
            is_stated,
            format: disk.format.unwrap_or_else(|| "raw".to_owned()),
        })
    });
    let images = drives(domain).images.into_iter().filter(|drive| drive.file.starts_with('/'));
    let by_options = images.map(|drive| {
        // If no format is stated, QEMU probes the content.
        let content = || files.of(&drive.file).and_then(|facts| facts.format.clone()).unwrap_or_else(|| "raw".to_owned());
        let is_stated = drive.format.is_some() || drive.read_only;
        let format = drive.format.clone().unwrap_or_else(content);
        Disk {
            is_block_device: files.is_block_device(&drive.file),
            has_large_sectors: false,
            path: drive.file,
            cache: DiskCache::Writeback,
            discard: DiskDiscard::Unmap,
            detect_zeroes: false,
            is_stated,
            format,
        }
    });
    by_elements.chain(by_options).collect()
}

/// If host and guest write to one file system, they destroy it.
fn in_use(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    if let Some(what) = files.of(path).and_then(|facts| facts.in_use.as_ref()) {
        let message = format!("{path} is in use by the host ({what}): host and guest would destroy each other's data");
        return Some(Finding::error("disk-in-use", message, "stop using it on the host (umount, swapoff), or use another disk"));
    }
    let of_disks = |because: &&String| ["/proc/mounts", "/proc/swaps", "/sys/class/block"].iter().any(|place| because.contains(place));
    if let Some(because) = files.uses.unknown.iter().find(of_disks).filter(|_| disk.is_block_device) {
        let message = format!("unknown whether the host uses {path}: {because}");
        return Some(Finding::blocked("disk-use-unknown", message, "run vgapt as root, on the host itself"));
    }
    let moves = path.strip_prefix("/dev/").is_some_and(|name| ["sd", "nvme", "hd", "vd"].iter().any(|kind| name.starts_with(kind)));
    moves.then(|| {
        let message = format!("{path} may name another disk after the next boot of the host");
        Finding::warning("disk-name-moves", message, "use its name in /dev/disk/by-id: ls -l /dev/disk/by-id")
    })
}

/// The guest of a raw disk can write a header that makes it look like another format and that names a file of the
/// host. If name and content disagree, the user has to state the format.
fn format(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    let facts = files.of(path).filter(|_| !disk.is_stated)?;
    if let Some(because) = &facts.unread {
        let message = format!("{path} cannot be read ({because}); its format is assumed to be {}", disk.format);
        let remedy = format!("state the format: --disk-format {}; or run vgapt as a user who can read the disk", disk.format);
        let is_known = disk.format == "raw" || format_by_name(Path::new(path)).is_some();
        return Some(if is_known { Finding::warning } else { Finding::blocked }("format-unread", message, remedy));
    }
    let content = facts.format.as_deref().filter(|content| *content != "luks")?;
    let by_name = if disk.is_block_device { Some("raw") } else { format_by_name(Path::new(path)) }?;
    (content != by_name && content != "raw").then(|| {
        let by = if disk.is_block_device { "is a device, which means raw" } else { &format!("has the name of a {by_name} image") };
        Finding::error(
            "format-unclear",
            format!("{path} {by}, but its content looks like {content}"),
            format!("state the format: --disk-format raw, or --disk-format {content}; the guest of a raw disk can write a header that makes it look like another format"),
        )
    })
}

/// A header that names files elsewhere makes them readable for the guest.
fn outside(disk: &Disk, files: &Files) -> Option<Finding> {
    let path = &disk.path;
    let facts = files.of(path).filter(|_| disk.format != "raw")?;
    let in_pool = |name: &str| name.rsplit_once('/').is_some_and(|(folder, _)| files.pools.iter().any(|pool| pool == folder));
    let names: Vec<&str> = facts.names.iter().map(String::as_str).filter(|name| !in_pool(name)).collect();
    let not_known = |because: &str| format!("unknown whether {path} gives the guest access to other files of the host: {because}");
    let remedy = "run vgapt as a user who can read the disk";
    if let Some(because) = facts.unread.as_ref().filter(|_| disk.is_stated) {
        return Some(Finding::warning("backing-unread", not_known(&format!("it cannot be read ({because})")), remedy));
    }
    if let Some(because) = facts.names_unknown.as_ref().filter(|_| names.is_empty()) {
        return Some(Finding::blocked("backing-unread", not_known(because), format!("{remedy} and its backing files; or use --force")));
    }
    (!names.is_empty()).then(|| {
        Finding::blocked(
            "backing-outside",
            format!(
                "the disk {path} gives the guest access to {}, outside the disk's own folder and libvirt's storage pools",
                names.join(" and ")
            ),
            "check that file: whoever made the disk may use it to read files of the host; if you trust the disk, use --force",
        )
    })
}

/// Is it a folder?
pub(super) fn folder(path: &str, files: &Files) -> Option<Finding> {
    let facts = files.of(path)?;
    match facts.exists {
        Some(true) if !facts.is_dir => {
            Some(Finding::error("not-a-folder", format!("{path} is not a folder"), "share the folder that contains it"))
        }
        Some(false) => {
            Some(Finding::blocked("no-such-folder", format!("folder {path} does not exist"), format!("mkdir -p {}", shell_word(path))))
        }
        _ => None,
    }
}

fn how_to_get(path: &str, wanted: &Request, files: &Files) -> String {
    if wanted.disk.iter().any(|disk| disk == path) && files.is_block_device(path) {
        "name an existing device: ls -l /dev/disk/by-id".into()
    } else if wanted.disk.iter().any(|disk| disk == path) {
        // It is created in the format of its name, which the domain will use too.
        format!("create it: vgapt disk create {} 100G", shell_word(path))
    } else if wanted.virtio_iso.as_deref() == Some(path) {
        "download virtio-win.iso from https://fedorapeople.org/groups/virt/virtio-win/direct-downloads/stable-virtio/".into()
    } else if wanted.cdrom.as_deref() == Some(path) {
        "check where the image was saved".into()
    } else {
        "leave --loader and --nvram-template out to use the host's own firmware".into()
    }
}

fn closed(facts: &FileFacts, files: &Files) -> Option<Finding> {
    let user = files.qemu_user.as_deref()?;
    let folders = facts.closed_folders.iter().map(|folder| shell_word(folder)).collect::<Vec<_>>().join(" ");
    (!folders.is_empty()).then(|| {
        let assumed = files.assumed_user.as_ref().map(|because| format!(" ({user} is assumed: {because})")).unwrap_or_default();
        let message = format!("QEMU's user {user} cannot access {}: no execute permission on {folders}{assumed}", facts.path);
        Finding::blocked("closed-folder", message, format!("setfacl -m u:{user}:x {folders}"))
    })
}

/// Which of these files could not be checked?
pub(super) fn unknown_files(asked: &[String], files: &Files) -> Option<Finding> {
    let found = |path: &str| files.firmwares.iter().any(|firmware| firmware.code == path || firmware.vars == path);
    let cannot_tell = |path: &&str| !found(path) && files.of(path).is_none_or(|facts| facts.exists.is_none());
    let unknown: Vec<&str> = asked.iter().map(String::as_str).filter(cannot_tell).collect();
    (!unknown.is_empty()).then(|| {
        // Without access to the host nothing is known of any file; with it, only files in closed folders are unknown.
        let out_of_reach = unknown.iter().all(|path| files.of(path).is_none());
        let remedy = if out_of_reach {
            "vgapt does not read files of a host behind this connection: check that they exist, or run vgapt on that host with --connect qemu:///system"
        } else if files.complete {
            "run vgapt as root, which can access all folders on the path"
        } else {
            "the capture does not contain them: run vgapt on the host itself"
        };
        Finding::warning("files-unknown", format!("these files could not be checked: {}", unknown.join(", ")), remedy)
    })
}

/// No firmware was found for a domain that needs one.
pub(crate) fn no_firmware(files: &Files) -> Finding {
    let message = "no UEFI firmware for guests found";
    let remedy = "install it (Debian, Ubuntu: apt install ovmf; Fedora: dnf install edk2-ovmf; Arch: pacman -S edk2-ovmf; openSUSE: zypper install qemu-ovmf-x86_64), or name it with --loader and --nvram-template";
    if files.complete {
        Finding::blocked("no-firmware", message, remedy)
    } else {
        Finding::warning("no-firmware", format!("{message}; the domain keeps its BIOS"), remedy)
    }
}

/// No firmware with Microsoft's keys was found for a guest system whose setup requires Secure Boot.
pub(crate) fn no_secure_firmware(plain: Option<&Firmware>) -> Finding {
    let remedy = "install or update the package that has one (Debian, Ubuntu: apt install ovmf; Fedora: dnf install edk2-ovmf; openSUSE: zypper install qemu-ovmf-x86_64; Arch's has no keys), or name it with --loader and --nvram-template";
    let asks = "the setup of this guest system requires UEFI with Secure Boot, but no firmware with Microsoft's keys was found";
    match plain {
        Some(firmware) => {
            let message = format!("{asks}: the setup refuses {}; only a system that is already installed boots with it", firmware.code);
            Finding::warning("no-secure-firmware", message, remedy)
        }
        None => Finding::blocked(
            "no-secure-firmware",
            format!("{asks}, and no other UEFI firmware either; the system does not boot with a BIOS"),
            remedy,
        ),
    }
}

/// A firmware was named that has no Secure Boot, or none of Microsoft's keys, for a guest system whose setup requires both.
pub(crate) fn plain_firmware(code: &str) -> Finding {
    Finding::warning(
        "no-secure-firmware",
        format!(
            "the setup of this guest system requires Secure Boot, and refuses {code}; only a system that is already installed boots with it"
        ),
        "leave --loader out, or name a firmware with Microsoft's keys",
    )
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
        let message = format!("{code} ({}) and {vars} ({}) do not match", Size::from_bytes(of_code), Size::from_bytes(of_vars));
        Finding::blocked(
            "firmware-mismatch",
            message,
            "use a matching pair: OVMF_CODE_4M.fd with OVMF_VARS_4M.fd, OVMF_CODE.fd with OVMF_VARS.fd",
        )
    })
}

/// The domain's UEFI variables were copied from the template of its former firmware.
pub(crate) fn other_firmware(base: &Base, code: &str) -> Option<Finding> {
    let os = base.domain.root().child("os")?;
    let own = os.child("nvram").map(crate::xml::Element::text).filter(|path| !path.is_empty())?;
    let before = os.child("loader").map(crate::xml::Element::text).filter(|before| !before.is_empty() && *before != code)?;
    let message = format!("{own} contains the UEFI variables of {before}; {code} may not understand them");
    Some(Finding::warning(
        "other-firmware",
        message,
        format!(
            "let libvirt copy them again at the next start: virsh -c {} start --reset-nvram {}",
            shell_word(&base.uri),
            shell_word(&base.name)
        ),
    ))
}
