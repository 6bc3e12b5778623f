//! What the domain itself does not support, independent of the host.

use crate::domain::base::{Base, Purpose};
use crate::domain::spec::{Slot, Spec};
use crate::domain_xml::{cells, functions_of_commandline, is_usb_off, machine};
use crate::model::{Finding, PciAddress, shell_word};
use crate::xml::Element;

/// Machine types of QEMU's x86 targets without a PCI bus.
const WITHOUT_PCI: [&str; 3] = ["isapc", "microvm", "none"];

/// What the domain does not support of the changes to be written. `left` are functions for which it has no free place.
pub(crate) fn of_guest(base: &Base, spec: &Spec, left: &[PciAddress]) -> Vec<Finding> {
    if base.purpose == Purpose::Detach {
        return Vec::new();
    }
    if let Some(other) = unsupported_domain(base) {
        return vec![other];
    }
    let mut findings: Vec<Finding> = in_command_line(base, spec.slots()).into_iter().collect();
    match without_pci(base).filter(|_| spec.slots().next().is_some()) {
        Some(finding) => findings.push(finding),
        None => findings.extend(without_place(left)),
    }
    findings.extend(usb_off(base).filter(|_| spec.usb.as_ref().is_some_and(|usb| !usb.is_empty())));
    findings.extend(secure_boot(base, spec));
    let shares = !base.wanted.extras.share.is_empty() && base.differs(|request| request.extras.share.clone());
    findings.extend(private_memory(base).filter(|_| shares));
    findings
}

/// A domain of another hypervisor or processor architecture: vgapt writes domains for QEMU on x86 only.
fn unsupported_domain(base: &Base) -> Option<Finding> {
    let root = base.domain.root();
    let kind = root.attribute("type");
    let os = root.at("os/type");
    let arch = os.and_then(|os| os.attribute("arch"));
    let what = if base.is_new { "the template" } else { "the domain" };
    // "test" is the type of libvirt's own test driver.
    if let Some(kind) = kind.filter(|kind| !matches!(&**kind, "kvm" | "qemu" | "test")) {
        let message = format!("{what} is for {kind}, not for QEMU (<domain type='{kind}'>)");
        let remedy = "use a QEMU domain: omit --template to use vgapt's own template, or convert the domain first (virt-v2v)";
        return Some(Finding::error("not-qemu", message, remedy));
    }
    if let Some(arch) = arch.filter(|arch| !matches!(&**arch, "x86_64" | "i686")) {
        let message = format!("{what} is for the processor architecture {arch}; vgapt supports x86 only");
        return Some(Finding::error(
            "not-x86",
            message,
            "use a domain with <type arch='x86_64'>, or omit --template to use vgapt's own template",
        ));
    }
    let os = os.map(Element::text).filter(|os| !matches!(*os, "hvm" | ""))?;
    let message = format!("{what} is of type '{os}' (<os><type>), not a fully virtualized machine (hvm)");
    Some(Finding::error("not-hvm", message, "use a domain with <type>hvm</type>, or omit --template to use vgapt's own template"))
}

fn without_pci(base: &Base) -> Option<Finding> {
    let machine = machine(base.domain.root()).filter(|machine| WITHOUT_PCI.contains(&machine.as_str()))?;
    let message = format!("machine type {machine} has no PCI bus, so that no PCI device can be passed through");
    Some(Finding::error("no-pci", message, "set machine='q35' in <os><type>, in a new domain"))
}

/// All PCI slots of the guest are in use.
fn without_place(left: &[PciAddress]) -> Option<Finding> {
    let named: Vec<String> = left.iter().map(|function| function.short()).collect();
    (!named.is_empty()).then(|| {
        let message = format!("the guest has no free PCI slot for {}", named.join(", "));
        Finding::error(
            "no-free-slot",
            message,
            "remove a device from the domain first (virsh edit), or add a <controller type='pci' model='pci-bridge'/>",
        )
    })
}

/// A function that `<qemu:commandline>` passes already, unknown to libvirt: passed twice, QEMU does not start.
fn in_command_line<'s>(base: &Base, slots: impl Iterator<Item = &'s Slot>) -> Option<Finding> {
    let given = functions_of_commandline(&base.domain);
    let named: Vec<String> =
        slots.flat_map(|slot| &slot.functions).filter(|function| given.contains(function)).map(|function| function.short()).collect();
    (!named.is_empty()).then(|| {
        let place = if base.is_new { "the template".to_owned() } else { format!("the domain (virsh edit {})", shell_word(&base.name)) };
        let message = format!("{} is already passed in <qemu:commandline>, which libvirt does not interpret", named.join(", "));
        let remedy = format!("remove its arguments -device vfio-pci,host=… from {place}, then pass it with vgapt");
        Finding::error("in-command-line", message, remedy)
    })
}

fn usb_off(base: &Base) -> Option<Finding> {
    is_usb_off(base.domain.root()).then(|| {
        let remedy =
            "add a USB controller to the domain: replace model='none' with model='qemu-xhci' (virsh edit); or leave the USB devices out";
        Finding::error("usb-off", "USB is disabled in the domain (<controller type='usb' model='none'/>)", remedy)
    })
}

/// virtiofs needs memory that is shared with another process.
fn private_memory(base: &Base) -> Option<Finding> {
    let root = base.domain.root();
    let is_private = |element: Element<'_>, name: &str| element.attribute(name).as_deref() == Some("private");
    let cells = cells(root).any(|cell| is_private(cell, "memAccess"));
    let whole = root.at("memoryBacking/access").is_some_and(|access| is_private(access, "mode"));
    (cells || whole).then(|| {
        let place = if whole { "<memoryBacking><access mode='private'/>" } else { "<cell memAccess='private'>" };
        let message = format!("a shared folder (virtiofs) needs shared memory, but the domain's memory is private ({place})");
        Finding::error(
            "private-memory",
            message,
            "change private to shared there (virsh edit), or use --share-smb, which does not need shared memory",
        )
    })
}

/// libvirt accepts firmware that requires system management mode (SMM) on q35 only.
fn secure_boot(base: &Base, spec: &Spec) -> Option<Finding> {
    let machine = machine(base.domain.root()).unwrap_or_else(|| "pc".to_owned());
    let is_asked = spec.firmware.as_ref().is_some_and(|firmware| firmware.secure_boot);
    (is_asked && !machine.contains("q35")).then(|| {
        let message = format!("firmware with Secure Boot requires machine type q35, but this domain has {machine}");
        Finding::error("secure-boot-needs-q35", message, "use machine='q35' in a new domain, or firmware without Secure Boot (--loader)")
    })
}
