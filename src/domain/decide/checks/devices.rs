//! Checks of passed devices: missing, moved, not an endpoint, or needed by the host.

use crate::domain::record::Passed;
use crate::model::{Card, Finding, Host, Iommu, PciAddress, PciDevice, RecordedGroup, UsbId, Uses, shell_word};
use crate::passthrough::{Danger, DangerKind, GroupChange, Recorded, dangers, group_changes, last_keyboard_at, missing_iommu, places};

/// What is passed through to a domain, no matter who added it.
#[derive(Debug, Clone, Copy)]
pub struct PassedTo<'a> {
    /// The domain's name.
    pub name: &'a str,
    pub passed: &'a [Passed],
    /// Their groups as recorded; empty where they are to be recorded now.
    pub groups: &'a [RecordedGroup],
}

/// Problems with passing these functions.
pub fn of_functions(domain: &PassedTo, host: &Host, uses: &Uses) -> Vec<Finding> {
    let PassedTo { passed, groups, .. } = *domain;
    if passed.is_empty() {
        return Vec::new();
    }
    if host.pci.is_empty() {
        return vec![Finding::warning(
            "host-unknown",
            "the host's PCI devices could not be read, so the passed devices were not checked",
            "run vgapt on the host itself",
        )];
    }
    let functions: Vec<PciAddress> = passed.iter().map(|passed| passed.address).collect();
    let mut findings: Vec<Finding> =
        passed.iter().filter_map(|passed| identity(passed, domain, host).or_else(|| endpoint(passed.address, host))).collect();
    findings.extend(without_group(&functions, host));
    let changes = group_changes(groups, host, &functions);
    let newly_used: Vec<PciAddress> = changes.iter().flat_map(GroupChange::used).collect();
    // What the change of a group says is not said twice.
    let is_said = host.blockers_of(&functions).iter().all(|blocker| newly_used.contains(blocker));
    findings.extend(changes.iter().map(GroupChange::finding));
    let dangers = dangers(host, uses, &functions).into_iter();
    findings.extend(dangers.filter(|danger| danger.kind != DangerKind::BlockedGroup || !is_said).filter_map(lost));
    findings.extend(usb_behind(&functions, host));
    for unknown in &host.unknown {
        findings.push(Finding::warning(
            "not-known",
            format!("unknown on this host: {unknown}"),
            "run vgapt on the host itself for a full check",
        ));
    }
    findings
}

/// Does the function exist, and is it still the same device?
fn identity(passed: &Passed, domain: &PassedTo, host: &Host) -> Option<Finding> {
    let address = passed.address.short();
    let all = || domain.passed.iter().map(Passed::recorded).collect::<Vec<Recorded>>();
    let elsewhere = || match places(&passed.recorded(), &all(), host)[..] {
        [] => "run `vgapt list` to see the host's devices".to_owned(),
        [place] => {
            format!("that device is now at {}: vgapt define {} --moved changes the domain to it", place.short(), shell_word(domain.name))
        }
        ref several => {
            let option = if Card::with(host, several[0]).is_some() { "--gpu" } else { "--pci" };
            let places = PciAddress::list(several);
            format!("that device may be at {places}: name the right one, vgapt define {} {option} ADDRESS", shell_word(domain.name))
        }
    };
    let Some(device) = host.device(passed.address) else {
        let what = passed.id.map(|id| format!(" (it was {id})")).unwrap_or_default();
        return Some(Finding::error("no-such-device", format!("PCI function {address} does not exist{what}"), elsewhere()));
    };
    if !passed.recorded().is_same(device) {
        let was = passed.id.map(|id| id.to_string()).unwrap_or_default();
        let was = passed.subsystem.map(|subsystem| format!("{was} of {subsystem}")).unwrap_or(was);
        let message =
            format!("{address} is now {} [{}], not the {was} that was passed: PCI addresses have moved", device.label(), device.id);
        return Some(Finding::error("device-moved", message, elsewhere()));
    }
    None
}

fn endpoint(address: PciAddress, host: &Host) -> Option<Finding> {
    let device = host.device(address).filter(|device| device.is_bridge() || device.class.is_any_bridge())?;
    let message = format!("{} is a bridge ({}); only endpoints can be passed through", address.short(), device.label());
    Some(Finding::error("not-an-endpoint", message, "leave it out: a bridge stays with the host and does not block the group"))
}

/// All functions without a group in one finding: they have one cause.
fn without_group(functions: &[PciAddress], host: &Host) -> Option<Finding> {
    let is_endpoint = |device: &&PciDevice| !device.is_bridge() && !device.class.is_any_bridge();
    let without = host.devices(functions).filter(|device| device.group.is_none()).filter(is_endpoint);
    let without: Vec<PciAddress> = without.map(|device| device.address).collect();
    let is = match without[..] {
        [] => return None,
        [_] => "is",
        _ => "are",
    };
    let (seen, remedy) = missing_iommu(host);
    let message = format!("{} {is} not in an IOMMU group: {seen}", PciAddress::list(&without));
    // The node devices of a remote host may lack the groups; the files of a host do not.
    Some(if host.platform.iommu == Iommu::Unknown {
        Finding::warning("no-group", message, remedy)
    } else {
        Finding::blocked("no-group", message, remedy)
    })
}

/// The severity of what the host loses: data loss is an error; what may be intended is blocked.
fn lost(danger: Danger) -> Option<Finding> {
    let Danger { kind, message, remedy } = danger;
    Some(match kind {
        DangerKind::DiskInUse => Finding::error(kind.code(), message, remedy),
        DangerKind::BlockedGroup => Finding::blocked("group-not-viable", message, remedy),
        DangerKind::ReservedMemory
        | DangerKind::Console
        | DangerKind::SharedOut
        | DangerKind::DiskUseUnknown
        | DangerKind::DefaultRoute
        | DangerKind::LastKeyboard
        | DangerKind::HostFunction => Finding::blocked(kind.code(), message, remedy),
        DangerKind::OnlyDisplay => Finding::warning(kind.code(), format!("{message} while the domain runs"), remedy),
        // Here the host's configuration is wrong; it is not a choice between host and guest for the only card.
        DangerKind::OnlyPicture => Finding::blocked(kind.code(), format!("{message} while the domain runs"), remedy),
        DangerKind::UsesUnknown => Finding::warning(kind.code(), message, remedy),
        // The host has no display with or without the guest.
        DangerKind::HostBlind => return None,
    })
}

/// Why the display cannot be handed over.
pub fn of_handover(systemd: Option<bool>) -> Option<Finding> {
    (systemd == Some(false)).then(|| {
        Finding::error(
            "no-systemd",
            "the display cannot be handed over: this host does not run systemd, which is needed to tell whether the display manager runs",
            "leave --handover out, and stop the display manager by hand before you start the domain",
        )
    })
}

/// The USB devices that are passed with their controller.
fn usb_behind(functions: &[PciAddress], host: &Host) -> Option<Finding> {
    let behind = |device: &&crate::model::UsbDevice| device.controller.is_some_and(|controller| functions.contains(&controller));
    let named: Vec<String> =
        host.usb.iter().filter(behind).map(|device| format!("{} {}", device.id, device.name.as_deref().unwrap_or("unknown"))).collect();
    (!named.is_empty()).then(|| {
        let message = format!("the devices plugged into the USB controller are passed with it: {}", named.join(", "));
        Finding::warning("usb-behind", message, "plug the devices that the host needs into a port of another controller")
    })
}

/// Whether the host's last keyboard is among the USB devices that are passed.
pub fn of_keyboard(ids: &[UsbId], host: &Host, uses: &Uses) -> Option<Finding> {
    let ports: Vec<&str> = host.usb.iter().filter(|device| ids.contains(&device.id)).map(|device| device.port.as_str()).collect();
    let Danger { kind, message, remedy } = last_keyboard_at(uses, &ports)?;
    Some(Finding::warning(kind.code(), message, remedy))
}

/// Is exactly one USB device of this id plugged in?
pub(super) fn usb(id: UsbId, host: &Host) -> Option<Finding> {
    if host.usb.is_empty() {
        return Some(Finding::warning(
            "usb-unknown",
            format!("unknown whether the USB device {id} is plugged in"),
            "run vgapt on the host itself, with the device plugged in",
        ));
    }
    match host.usb.iter().filter(|device| device.id == id).count() {
        0 => Some(Finding::blocked(
            "no-such-usb-device",
            format!("no USB device {id} is plugged in"),
            "plug it in, or run `vgapt list --usb` to see the USB devices",
        )),
        1 => None,
        several => Some(Finding::blocked(
            "ambiguous-usb-device",
            format!("{several} USB devices have the id {id}, and libvirt cannot tell them apart"),
            "unplug the others, or pass a whole USB controller with --pci",
        )),
    }
}
