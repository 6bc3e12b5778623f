//! What speaks against a domain before libvirt would say it: at its start, or never.

use super::resolve::Base;
use super::settings::size_of;
use super::{Os, Passed, Request};
use crate::model::{FileFacts, Files, Finding, Host, Iommu, PciAddress, Size};
use crate::passthrough::{Verdict, assess, isolation_remedy, missing_iommu};

/// Smaller files are no firmware images but stand-ins; an OVMF variable store has at least 64 KiB.
const SMALLEST_FIRMWARE: u64 = 64 << 10;

/// What speaks against passing these functions, wherever they come from.
pub fn of_functions(passed: &[Passed], host: &Host) -> Vec<Finding> {
    if passed.is_empty() {
        return Vec::new();
    }
    if host.pci.is_empty() {
        return vec![Finding::warning(
            "host-unknown",
            "the host's PCI devices could not be read, so nothing about them was checked",
            "run vgapt on the host itself",
        )];
    }
    let functions: Vec<PciAddress> = passed.iter().map(|passed| passed.address).collect();
    let mut findings: Vec<Finding> = passed
        .iter()
        .filter_map(|passed| identity(passed, host).or_else(|| endpoint(passed.address, host)).or_else(|| group(passed.address, host)))
        .collect();
    findings.extend(blocked(&functions, host));
    findings.extend(only_display(&functions, host));
    for unknown in host.unknown.iter().filter(|_| !functions.is_empty()) {
        findings.push(Finding::warning(
            "not-known",
            format!("not known of this host: {unknown}"),
            "run vgapt on the host itself for a full check",
        ));
    }
    findings
}

/// Is it there, and is it still what it was?
fn identity(passed: &Passed, host: &Host) -> Option<Finding> {
    let address = passed.address.short();
    let elsewhere = || {
        let now: Vec<String> = host.pci.iter().filter(|device| Some(device.id) == passed.id).map(|device| device.address.short()).collect();
        if now.is_empty() {
            "see `vgapt list` for what there is".to_owned()
        } else {
            format!("that device is now at {}: define again with that address", now.join(" or "))
        }
    };
    let Some(device) = host.device(passed.address) else {
        let what = passed.id.map(|id| format!(" (it was {id})")).unwrap_or_default();
        return Some(Finding::fatal("no-such-device", format!("there is no PCI function {address}{what}"), elsewhere()));
    };
    let same_subsystem = passed.subsystem.is_none() || device.subsystem.is_none() || passed.subsystem == device.subsystem;
    if passed.id.is_some_and(|id| id != device.id) || !same_subsystem {
        let was = passed.id.map(|id| id.to_string()).unwrap_or_default();
        let was = passed.subsystem.map(|subsystem| format!("{was} of {subsystem}")).unwrap_or(was);
        let message =
            format!("at {address} is now {} [{}], not the {was} that was passed: PCI addresses have moved", device.label(), device.id);
        return Some(Finding::fatal("device-moved", message, elsewhere()));
    }
    None
}

fn endpoint(address: PciAddress, host: &Host) -> Option<Finding> {
    let device = host.device(address).filter(|device| device.is_bridge())?;
    let message = format!("{} is a bridge ({}), and only endpoints can be passed", address.short(), device.label());
    Some(Finding::fatal("not-an-endpoint", message, "leave it out: bridges stay with the host and block nothing"))
}

fn group(address: PciAddress, host: &Host) -> Option<Finding> {
    let device = host.device(address).filter(|device| device.group.is_none())?;
    let (seen, remedy) = missing_iommu(host);
    let message = format!("{} is in no IOMMU group: {seen}", device.address.short());
    // Node devices of a remote host may leave the groups out; the files of a host do not.
    Some(if host.platform.iommu == Iommu::Unknown {
        Finding::warning("no-group", message, remedy)
    } else {
        Finding::blocker("no-group", message, remedy)
    })
}

fn blocked(functions: &[PciAddress], host: &Host) -> Option<Finding> {
    let blockers = host.blockers_of(functions);
    let named: Vec<String> = host
        .devices(&blockers)
        .map(|device| format!("{} {} on {}", device.address.short(), device.class.noun(), device.driver.as_deref().unwrap_or_default()))
        .collect();
    let siblings: Vec<String> = blockers
        .iter()
        .filter(|blocker| functions.iter().any(|function| function.same_slot(**blocker)))
        .map(|blocker| blocker.short())
        .collect();
    let remedy = if siblings.is_empty() {
        isolation_remedy(false)
    } else {
        format!("pass {} too, as they share the slot; else {}", siblings.join(", "), isolation_remedy(false))
    };
    (!named.is_empty()).then(|| {
        Finding::blocker("group-not-viable", format!("the host uses other devices of the same IOMMU group: {}", named.join(", ")), remedy)
    })
}

fn only_display(functions: &[PciAddress], host: &Host) -> Option<Finding> {
    let card = assess(host).into_iter().find(|card| functions.contains(&card.address) && card.verdict == Verdict::OnlyDisplay)?;
    Some(Finding::warning(
        "only-display",
        format!("{} is the host's only display: it goes dark while the domain runs", card.address.short()),
        card.remedy,
    ))
}

/// What speaks against the rest of a request.
pub(super) fn of_request(base: &Base, wanted: &Request, host: &Host, files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(other_system(base));
    findings.extend(wanted.usb_ids().into_iter().filter_map(|id| usb(id, host)));
    let asked = wanted.files();
    findings.extend(asked.iter().filter_map(|path| file(path, wanted, files)));
    findings.extend(unknown_files(&asked, files));
    findings.extend(pair(wanted, files));
    findings.extend(memory(base, wanted, host));
    findings.extend(processors(wanted, host));
    findings.extend(audio_alone(wanted, host));
    findings
}

/// The system decides the template, and an existing domain has none any more.
fn other_system(base: &Base) -> Option<Finding> {
    let last: Os = base.last.as_ref()?.request.os.unwrap_or_default();
    let now: Os = base.wanted.os.unwrap_or_default();
    (last != now && !base.is_new).then(|| {
        Finding::fatal(
            "other-system",
            "--os decides the template of a new domain, and this one exists",
            "make it anew with --replace, or leave --os out",
        )
    })
}

fn audio_alone(wanted: &Request, host: &Host) -> Option<Finding> {
    let audio = wanted.gpu_audio?;
    if wanted.gpu.is_empty() {
        return Some(Finding::warning(
            "audio-alone",
            format!("the audio function {} is left out: no graphics card is passed with it", audio.short()),
            "name the card with --gpu",
        ));
    }
    (host.device(audio).is_none() && !host.pci.is_empty())
        .then(|| Finding::fatal("no-such-device", format!("there is no PCI function {}", audio.short()), "see `vgapt list`"))
}

fn usb(id: crate::model::UsbId, host: &Host) -> Option<Finding> {
    if host.usb.is_empty() {
        return Some(Finding::warning(
            "usb-unknown",
            format!("whether the USB device {id} is there could not be told"),
            "run vgapt on the host itself, with the device plugged in",
        ));
    }
    match host.usb.iter().filter(|device| device.id == id).count() {
        0 => Some(Finding::blocker(
            "no-such-usb-device",
            format!("no USB device {id} is plugged in"),
            "plug it in, or see `vgapt list --usb`",
        )),
        1 => None,
        several => Some(Finding::blocker(
            "ambiguous-usb-device",
            format!("{several} USB devices are {id}, and libvirt cannot tell which is meant"),
            "unplug the others, or pass a whole USB controller with --pci",
        )),
    }
}

fn file(path: &str, wanted: &Request, files: &Files) -> Option<Finding> {
    let facts = files.of(path)?;
    if facts.is_dir {
        return Some(Finding::fatal("not-a-file", format!("{path} is a directory"), "name the image in it"));
    }
    match facts.exists {
        Some(false) => Some(Finding::blocker("no-such-file", format!("there is no file {path}"), how_to_get(path, wanted))),
        Some(true) => closed(facts, files),
        None => None,
    }
}

fn how_to_get(path: &str, wanted: &Request) -> String {
    if wanted.disk.iter().any(|disk| disk == path) {
        format!("make it: qemu-img create -f qcow2 '{path}' 100G")
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
    let folders = facts.closed_folders.iter().map(|folder| format!("'{folder}'")).collect::<Vec<_>>().join(" ");
    (!folders.is_empty()).then(|| {
        let message = format!("QEMU's user {user} cannot reach {}: it may not pass {folders}", facts.path);
        Finding::blocker("closed-folder", message, format!("setfacl -m u:{user}:x {folders}"))
    })
}

fn unknown_files(asked: &[String], files: &Files) -> Option<Finding> {
    let unknown: Vec<&str> =
        asked.iter().map(String::as_str).filter(|path| files.of(path).is_none_or(|facts| facts.exists.is_none())).collect();
    (!unknown.is_empty()).then(|| {
        Finding::warning(
            "files-unknown",
            format!("could not be looked at from here: {}", unknown.join(", ")),
            "run vgapt on the host itself, as root, to have them checked",
        )
    })
}

/// No firmware was found for a domain that needs one.
pub(super) fn no_firmware(files: &Files) -> Finding {
    let message = "no UEFI firmware for guests was found";
    let remedy = "install it (Debian, Ubuntu: apt install ovmf; Fedora: dnf install edk2-ovmf; Arch: pacman -S edk2-ovmf; openSUSE: zypper install qemu-ovmf-x86_64), or name it with --loader and --nvram-template";
    if files.complete {
        Finding::blocker("no-firmware", message, remedy)
    } else {
        Finding::warning("no-firmware", format!("{message}; the domain is left with its BIOS"), remedy)
    }
}

/// Code and variables fill one flash chip of 2, 4, 8, … MiB together (OvmfPkg's FD_SIZE).
fn pair(wanted: &Request, files: &Files) -> Option<Finding> {
    let (code, vars) = (wanted.loader.as_ref()?, wanted.nvram_template.as_ref()?);
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
pub(super) fn other_firmware(base: &Base, code: &str) -> Option<Finding> {
    let os = base.domain.root().child("os")?;
    let own = os.child("nvram").map(crate::xml::Element::text).filter(|path| !path.is_empty())?;
    let before = os.child("loader").map(crate::xml::Element::text).filter(|before| !before.is_empty() && *before != code)?;
    let message = format!("{own} holds the variables of {before}, which {code} may not understand");
    Some(Finding::warning(
        "other-firmware",
        message,
        format!("let libvirt copy them anew at the next start: virsh start --reset-nvram {}", base.name),
    ))
}

fn memory(base: &Base, wanted: &Request, host: &Host) -> Option<Finding> {
    let asked = wanted.memory.or_else(|| size_of(base.domain.root().child("memory")?))?;
    let total = host.memory.total?;
    if asked >= total {
        let message = format!("the domain is to have {asked}, and the host has {} MiB in all", total.kib() >> 10);
        return Some(Finding::blocker(
            "too-little-memory",
            message,
            "ask for less with --memory: a guest with a passed device has all its memory at once, and the host needs some",
        ));
    }
    if wanted.hugepages {
        return hugepages(asked, host, Finding::warning);
    }
    let available = host.memory.available?;
    (asked > available).then(|| {
        let message = format!("{asked} are asked for, and {} MiB are available now", available.kib() >> 10);
        Finding::warning("memory-in-use", message, "close what uses it before the domain starts")
    })
}

/// Are there enough free huge pages of the default size?
fn hugepages(asked: Size, host: &Host, weigh: fn(&'static str, String, String) -> Finding) -> Option<Finding> {
    let page = host.memory.default_hugepage?;
    let free = host.memory.hugepages.iter().find(|pool| pool.page == page).map_or(0, |pool| pool.free);
    let needed = asked.bytes().div_ceil(page.bytes().max(1));
    (free < needed).then(|| {
        let message = format!("{needed} huge pages of {page} are needed, and {free} are free");
        weigh(
            "too-few-hugepages",
            message,
            format!("sysctl vm.nr_hugepages={needed} (in /etc/sysctl.d to keep it) before the domain starts"),
        )
    })
}

fn processors(wanted: &Request, host: &Host) -> Option<Finding> {
    let there = u32::try_from(host.topology.cpus.len()).ok().filter(|there| *there > 0)?;
    let asked = wanted.cpus.filter(|asked| *asked > there)?;
    Some(Finding::warning(
        "too-many-cpus",
        format!("{asked} processors are asked for, and the host has {there}"),
        format!("--cpus {there} at most, and fewer to leave the host some"),
    ))
}

/// What speaks against a start: the memory must be there now.
pub fn of_start(domain: &crate::xml::Document, host: &Host) -> Vec<Finding> {
    let root = domain.root();
    let asked = root.child("memory").and_then(size_of);
    let pages = root.at("memoryBacking/hugepages").filter(|pages| pages.child("page").is_none());
    let short = asked.filter(|_| pages.is_some()).and_then(|asked| hugepages(asked, host, Finding::blocker));
    short.into_iter().collect()
}
