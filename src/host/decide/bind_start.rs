//! Problems with leaving a card with the host until the domain starts.

use crate::model::{Finding, Host, PciAddress, PciDevice, Setup};
use crate::passthrough::{is_only_display, only_display_remedy};

/// Whether all of these are virtual functions, created while the system runs: none can be bound at boot, and libvirt
/// binds them when the domain starts.
pub fn only_virtual(host: &Host, functions: &[PciAddress]) -> bool {
    !functions.is_empty() && host.devices(functions).all(|device| device.physical_function.is_some())
}

/// Problems with unbinding these from the running host.
pub(super) fn doubts(host: &Host, setup: &Setup, functions: &[PciAddress]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // --bind boot is no remedy for the only display.
    let only = is_only_display(host, functions)
        .then(|| format!("the hook stops the desktop and unbinds the console: {}", only_display_remedy(host, functions)));
    for device in host.devices(functions).filter(|device| device.class.is_display()) {
        let at = device.address.short();
        if device.boot_vga == Some(true) {
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
        findings.extend(made_at_boot(setup, device));
    }
    findings
}

/// A virtual function (SR-IOV) does not exist until its number is written to sysfs, at each boot.
fn made_at_boot(setup: &Setup, device: &PciDevice) -> Option<Finding> {
    let parent = device.physical_function?;
    let is_written = |text: &str| text.lines().any(|line| line.contains("sriov_numvfs") && !line.trim_start().starts_with('#'));
    let mut texts = setup.files.0.values().filter_map(|file| file.text.as_deref().ok());
    (!texts.any(is_written)).then(|| {
        Finding::warning(
            "virtual-function",
            format!(
                "{} is a virtual function of {}: it exists only after something writes to sriov_numvfs of {} at each boot, and nothing was found that does",
                device.address.short(),
                parent.short(),
                parent.short()
            ),
            format!(
                "nothing, if something else writes it; otherwise create a file in /etc/tmpfiles.d with the line: w /sys/bus/pci/devices/{parent}/sriov_numvfs - - - - NUMBER"
            ),
        )
    })
}
