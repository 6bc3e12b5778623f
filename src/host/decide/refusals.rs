//! What prepare refuses, the options that override it, and problems with leaving a card with the host until the domain
//! starts.

use super::others::{self, ModuleBlocker};
use crate::host::request::{Allow, Bind, Handling, Wanted};
use crate::model::{Finding, Host, ModuleState, PciAddress, PciDevice, Setup};
use crate::passthrough::{Danger, DangerKind, dangers, displays_without_driver, is_only_display, only_display_remedy};

/// All refusals that the request does not override.
pub(super) fn of(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let mut findings: Vec<Finding> = wanted.functions.iter().filter_map(|address| unsuitable(host, *address)).collect();
    findings.extend(dangers(host, &setup.uses, &wanted.functions).into_iter().filter_map(|danger| refusal(host, setup, danger, wanted)));
    findings
}

fn refusal(host: &Host, setup: &Setup, danger: Danger, wanted: &Wanted) -> Option<Finding> {
    let Danger { kind, message, remedy } = danger;
    let allow = match Handling::of(kind) {
        Handling::Reported => return Some(Finding::warning(kind.code(), message, remedy)),
        Handling::Refused => return Some(Finding::blocked(kind.code(), message, remedy)),
        Handling::Unless(allow) => allow,
    };
    if wanted.allowed.contains(&allow) {
        return None;
    }
    // The host has its display until the guest starts, and with define --handover again after it has stopped.
    if matches!(kind, DangerKind::OnlyDisplay | DangerKind::OnlyPicture) && wanted.bind == Bind::Start {
        return Some(Finding::warning(
            kind.code(),
            format!("while a guest uses it: {message}"),
            only_display_remedy(host, &wanted.functions),
        ));
    }
    let lines = others::display_drivers_kept_out(host, setup, &displays_without_driver(host, &wanted.functions));
    let (message, remedy) = match kind {
        DangerKind::OnlyPicture if !lines.is_empty() => (
            format!("{message}, and {}", lines.iter().map(ModuleBlocker::says).collect::<Vec<_>>().join(", ")),
            format!("{}, regenerate the initramfs and the boot entries, and reboot first", ModuleBlocker::removal(&lines)),
        ),
        _ => (message, remedy),
    };
    Some(Finding::blocked(kind.code(), message, remedy).unless(Allow::HINT, allow.option()))
}

/// Where nothing is left to write, the host is already as this finding says: somebody has decided it, and a refusal would save
/// nothing. A card that is left with the host is not bound yet, so nobody has decided what that does; only the host's display may
/// be gone without it.
pub(super) fn decided(finding: Finding, wanted: &Wanted) -> Finding {
    let is_so = wanted.bind == Bind::Boot || finding.code == "no-display";
    if finding.unless.is_some() && is_so { finding.decided() } else { finding }
}

/// Without vfio-pci no guest gets a device, whatever is written.
pub(super) fn without_vfio(setup: &Setup) -> Option<Finding> {
    let (lacking, having): (Vec<_>, Vec<_>) = setup.vfio.iter().partition(|(_, state)| **state == ModuleState::Missing);
    let releases = lacking.iter().map(|(release, _)| release.as_str()).collect::<Vec<_>>().join(", ");
    // A kernel of which that is unknown may have it.
    let is_known = setup.kernels.iter().all(|kernel| kernel.builtin.is_empty() || setup.vfio.contains_key(&kernel.release));
    let (message, remedy) =
        (format!("vfio-pci, which makes a device available to a guest, is not part of the kernel {releases}"), FULL_KERNEL);
    match (lacking.is_empty(), having.is_empty() && is_known) {
        (true, _) => None,
        (false, true) => Some(Finding::error("vfio-module", message, format!("{remedy}, and run vgapt prepare again"))),
        (false, false) => Some(Finding::warning("vfio-module", message, format!("if that kernel is booted: {remedy}"))),
    }
}

/// The remedy where a kernel lacks vfio-pci.
pub const FULL_KERNEL: &str = "install the distribution's full kernel package (not a cloud or minimal one), or boot another kernel";

pub(super) fn unsuitable(host: &Host, address: PciAddress) -> Option<Finding> {
    match host.device(address) {
        None => Some(Finding::error("no-device", format!("there is no PCI function at {address}"), "see all functions: vgapt list --all")),
        Some(device) if device.is_bridge() || device.class.is_any_bridge() => Some(Finding::error(
            "bridge",
            format!("{} is a bridge: it stays with the host, and does not prevent passing its group through", address.short()),
            "name the devices behind the bridge",
        )),
        Some(_) => None,
    }
}

/// Whether all of these are virtual functions, created while the system runs: none can be bound at boot, and libvirt
/// binds them when the domain starts.
pub fn only_virtual(host: &Host, functions: &[PciAddress]) -> bool {
    !functions.is_empty() && host.devices(functions).all(|device| device.physical_function.is_some())
}

/// Problems with unbinding these from the running host.
pub(super) fn of_bind_start(host: &Host, setup: &Setup, functions: &[PciAddress]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // --bind boot is no remedy for the only display.
    let only = is_only_display(host, functions)
        .then(|| format!("the hook stops the desktop and unbinds the console: {}", only_display_remedy(host, functions)));
    for device in host.devices(functions).filter(|device| device.class.is_display()) {
        let at = device.address.short();
        if device.boot_vga == Some(true) && !device.on_vfio() {
            findings.push(Finding::warning(
                "bind-start",
                format!("{at} is the boot display: the console and the boot screen use it, and unbinding it from them often fails"),
                only.as_deref().unwrap_or("make another display primary in the firmware settings, or use --bind boot"),
            ));
        }
        // A driver that is unbound while a program has the card open waits forever.
        if let Some(driver @ ("nvidia" | "amdgpu" | "nouveau" | "radeon" | "i915" | "xe")) = device.driver.as_deref() {
            findings.push(Finding::warning(
                "bind-start",
                format!("{at} is bound to {driver}, which releases it only when no program has it open; unbinding it before that hangs some kernels"),
                only.as_deref().unwrap_or(if device.physical_function.is_some() {
                    "keep programs off it: vgapt start lists the programs that have it open"
                } else {
                    "keep the desktop off the card (vgapt start lists the programs that have it open), or use --bind boot"
                }),
            ));
        }
        findings.extend(made_at_boot(host, setup, device));
    }
    findings
}

/// A virtual function (SR-IOV) does not exist until its number is written to sysfs, at each boot.
fn made_at_boot(host: &Host, setup: &Setup, device: &PciDevice) -> Option<Finding> {
    let parent = device.physical_function?;
    let is_written = |text: &str| text.lines().any(|line| line.contains("sriov_numvfs") && !line.trim_start().starts_with('#'));
    let mut texts = setup.files.0.values().filter_map(|file| file.text.as_deref().ok());
    (!texts.any(is_written)).then(|| {
        let (at, of) = (device.address.short(), parent.short());
        let only = format!("it exists only after something writes to sriov_numvfs of {of} at each boot, and nothing was found that does");
        let count = host.virtual_functions_of(&[parent]).len();
        Finding::warning(
            "virtual-function",
            format!("{at} is a virtual function of {of}: {only}"),
            format!("nothing, if something else writes it; otherwise: vgapt prepare --vfs {of}={count}"),
        )
    })
}
