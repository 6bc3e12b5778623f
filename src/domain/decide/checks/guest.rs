//! What the domain itself cannot take, whatever the host has.

use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::spec::{Slot, Spec};
use crate::domain::write::hostdevs;
use crate::domain_xml::{cells, devices_named, functions_of_commandline, machine};
use crate::model::{Finding, shell_word};
use crate::xml::Element;

/// Machine types of QEMU's x86 targets without a PCI bus.
const WITHOUT_PCI: [&str; 3] = ["isapc", "microvm", "none"];

/// What the domain cannot take of what is to be written into it.
pub(crate) fn of_guest(base: &Base, spec: &Spec) -> Vec<Finding> {
    if base.purpose == Purpose::Detach {
        return Vec::new();
    }
    if let Some(other) = other_world(base) {
        return vec![other];
    }
    let cards = spec.cards.as_deref().unwrap_or_default();
    let functions = spec.functions.as_deref().unwrap_or_default();
    let asked = !cards.is_empty() || !functions.is_empty();
    let mut findings: Vec<Finding> = in_command_line(base, cards.iter().chain(functions)).into_iter().collect();
    match without_pci(base).filter(|_| asked) {
        Some(finding) => findings.push(finding),
        None => findings.extend(without_place(base, cards, functions)),
    }
    findings.extend(usb_off(base).filter(|_| spec.usb.as_ref().is_some_and(|usb| !usb.is_empty())));
    findings.extend(secure_boot(base, spec));
    let shares = spec.owned.iter().any(|owned| owned.prefix == alias::SHARE && !owned.devices.is_empty());
    findings.extend(private_memory(base).filter(|_| shares));
    findings
}

/// A domain of another hypervisor, or for another processor: what vgapt writes is QEMU's, and x86's.
fn other_world(base: &Base) -> Option<Finding> {
    let root = base.domain.root();
    let kind = root.attribute("type");
    let os = root.at("os/type");
    let arch = os.and_then(|os| os.attribute("arch"));
    let what = if base.is_new { "the template" } else { "the domain" };
    // "test" is that of libvirt's own test driver.
    if let Some(kind) = kind.filter(|kind| !matches!(&**kind, "kvm" | "qemu" | "test")) {
        let message = format!("{what} is not for QEMU but for {kind} (<domain type='{kind}'>)");
        let remedy = "start from a domain of QEMU's: leave --template out for vgapt's own, or convert it first (virt-v2v)";
        return Some(Finding::fatal("not-qemu", message, remedy));
    }
    if let Some(arch) = arch.filter(|arch| !matches!(&**arch, "x86_64" | "i686")) {
        let message = format!("{what} is for the processor architecture {arch}, and vgapt writes domains for x86 only");
        return Some(Finding::fatal(
            "not-x86",
            message,
            "take a domain with <type arch='x86_64'>, or leave --template out for vgapt's own",
        ));
    }
    let os = os.map(Element::text).filter(|os| !matches!(*os, "hvm" | ""))?;
    let message = format!("{what} is not for a whole machine but for '{os}' (<os><type>)");
    Some(Finding::fatal("not-hvm", message, "take a domain with <type>hvm</type>, or leave --template out for vgapt's own"))
}

fn without_pci(base: &Base) -> Option<Finding> {
    let machine = machine(base.domain.root()).filter(|machine| WITHOUT_PCI.contains(&machine.as_str()))?;
    let message = format!("the machine type {machine} has no PCI bus, so that no device can be passed");
    Some(Finding::fatal("no-pci", message, "take machine='q35' in <os><type>, as a new domain"))
}

/// All slots of the guest are taken.
fn without_place(base: &Base, cards: &[Slot], functions: &[Slot]) -> Option<Finding> {
    let left = hostdevs::without_place(&base.domain, &[(alias::GPU, cards), (alias::PCI, functions)]);
    let named: Vec<String> = left.iter().flat_map(|slot| &slot.functions).map(|function| function.short()).collect();
    (!named.is_empty()).then(|| {
        let message = format!("the guest has no free PCI slot for {}", named.join(", "));
        Finding::fatal(
            "no-free-slot",
            message,
            "take a device out of the domain first (virsh edit), or add a <controller type='pci' model='pci-bridge'/>",
        )
    })
}

/// A function that is given to QEMU already, past libvirt: a second time QEMU does not start.
fn in_command_line<'s>(base: &Base, slots: impl Iterator<Item = &'s Slot>) -> Option<Finding> {
    let given = functions_of_commandline(&base.domain);
    let named: Vec<String> =
        slots.flat_map(|slot| &slot.functions).filter(|function| given.contains(function)).map(|function| function.short()).collect();
    (!named.is_empty()).then(|| {
        let place = if base.is_new { "the template".to_owned() } else { format!("the domain (virsh edit {})", shell_word(&base.name)) };
        let message = format!("{} is given to QEMU in <qemu:commandline> already, where libvirt does not see it", named.join(", "));
        let remedy = format!("take the arguments -device vfio-pci,host=… of it out of {place}, then pass it with vgapt");
        Finding::fatal("in-command-line", message, remedy)
    })
}

fn usb_off(base: &Base) -> Option<Finding> {
    let is_off = |controller: Element<'_>| {
        controller.attribute("type").as_deref() == Some("usb") && controller.attribute("model").as_deref() == Some("none")
    };
    devices_named(base.domain.root(), "controller").any(is_off).then(|| {
        let remedy =
            "give the domain a controller: model='qemu-xhci' in the place of model='none' (virsh edit); or leave the USB devices out";
        Finding::fatal("usb-off", "the domain has USB switched off (<controller type='usb' model='none'/>)", remedy)
    })
}

/// A folder is shared through memory that another process sees too.
fn private_memory(base: &Base) -> Option<Finding> {
    let root = base.domain.root();
    let is_private = |element: Element<'_>, name: &str| element.attribute(name).as_deref() == Some("private");
    let cells = cells(root).any(|cell| is_private(cell, "memAccess"));
    let whole = root.at("memoryBacking/access").is_some_and(|access| is_private(access, "mode"));
    (cells || whole).then(|| {
        let place = if whole { "<memoryBacking><access mode='private'/>" } else { "<cell memAccess='private'>" };
        let message = format!("a shared folder needs memory that another process can see, and the domain's is private ({place})");
        Finding::fatal("private-memory", message, "say shared there (virsh edit), or take --share-smb, which needs none")
    })
}

/// libvirt takes firmware that needs system management mode on q35 only.
fn secure_boot(base: &Base, spec: &Spec) -> Option<Finding> {
    let machine = machine(base.domain.root()).unwrap_or_else(|| "pc".to_owned());
    let is_asked = spec.firmware.as_ref().is_some_and(|firmware| firmware.secure_boot);
    (is_asked && !machine.contains("q35")).then(|| {
        let message = format!("firmware with Secure Boot needs machine type q35, and this domain has {machine}");
        Finding::fatal("secure-boot-needs-q35", message, "take machine='q35' in a new domain, or firmware without Secure Boot: --loader")
    })
}
