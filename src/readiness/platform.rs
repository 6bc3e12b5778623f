//! Processor, KVM, IOMMU, interrupts.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host::modprobe::{self, Line};
use crate::model::Iommu;
use crate::passthrough::{missing_iommu, of_host};

const WHY_KVM: &str = "without KVM a guest is emulated, a hundred times slower";

pub(super) fn virtualization(facts: &Facts) -> Check {
    let host = facts.host;
    let check = |seen: String| Check::ok("virtualization", Topic::Processor, "virtualization", seen);
    if let Some(finding) = of_host(host).into_iter().find(|finding| finding.code == "virtualization-off") {
        return check(finding.message).missing(NextStep::Firmware, WHY_KVM, finding.remedy);
    }
    match host.cpu.virtualization() {
        Some(_) => {
            let name = if host.cpu.flags.contains("svm") { "AMD-V (svm)" } else { "VT-x (vmx)" };
            check(format!("{name} is on"))
        }
        None => check(String::new()).unknown(&facts.because("/proc/cpuinfo")),
    }
}

/// How the processor's virtualization is switched on.
fn switch_on(facts: &Facts) -> String {
    let off = of_host(facts.host).into_iter().find(|finding| finding.code == "virtualization-off");
    off.map(|finding| finding.remedy).unwrap_or_default()
}

pub(super) fn kvm(facts: &Facts) -> Check {
    let (host, observed) = (facts.host, facts.observed);
    let check = |seen: String| Check::ok("kvm", Topic::Processor, "/dev/kvm", seen);
    let Some(node) = observed.kvm else {
        return check(String::new()).unknown(observed.reach.because()).minor();
    };
    // udev makes the node at boot, whether or not the module can use the processor (kmod's static nodes).
    if node.there && host.cpu.virtualization() == Some(false) {
        return check("exists, but cannot be used: virtualization is disabled in the processor".into())
            .missing(NextStep::Firmware, WHY_KVM, switch_on(facts))
            .minor();
    }
    if !node.there {
        let module = if host.cpu.is_intel() { "kvm_intel" } else { "kvm_amd" };
        // VirtualBox's guides keep KVM out.
        let remedy = match (host.cpu.virtualization(), kept_out(facts, &[module, "kvm"])) {
            (Some(false), _) => switch_on(facts),
            _ if facts.gone_modules().is_some() => "reboot: the modules of the running kernel are not there any more".to_owned(),
            (_, Some(line)) => format!("{line}; then: modprobe {module}"),
            (_, None) => format!("modprobe {module}; if it fails, the kernel log says why (dmesg | grep -i kvm)"),
        };
        return check("does not exist".into()).missing(NextStep::Kernel, WHY_KVM, remedy);
    }
    match node.qemu_may {
        Some(true) => check("exists, and QEMU may use it".into()),
        Some(false) => check(format!("exists (mode {:03o}), but the user that QEMU runs as may not use it", node.mode)).missing(
            NextStep::Software,
            WHY_KVM,
            "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm, and add QEMU's user to the group kvm (usermod -aG kvm libvirt-qemu, or qemu)",
        ),
        None => check("exists".into()),
    }
}

/// How to remove the first line of modprobe's configuration that keeps one of these modules from being loaded by itself.
fn kept_out(facts: &Facts, modules: &[&str]) -> Option<String> {
    let lines = modprobe::read(facts.setup, &[]).lines;
    let is_one = |line: &&Line| modules.contains(&line.name.as_str()) && (line.command == "blacklist" || line.loads_nothing());
    lines.iter().find(is_one).map(|line| format!("remove `{}` from {}", line.words(), line.place()))
}

pub(super) const WHY_IOMMU: &str =
    "a device can be assigned to a guest only behind an IOMMU, which confines its memory accesses to the guest";

pub(super) fn iommu(facts: &Facts) -> Check {
    let (host, needs) = (facts.host, &facts.needs);
    let check = |seen: String| Check::ok("iommu", Topic::Iommu, "IOMMU", seen);
    let (seen, remedy) = missing_iommu(host);
    match host.platform.iommu {
        Iommu::On => {
            let units = &facts.observed.iommus;
            let units = if units.len() > 4 { format!(" ({} units)", units.len()) } else { format!(" ({})", units.join(", ")) };
            check(format!("on, {} groups{}", host.number_of_groups(), if units == " ()" { String::new() } else { units }))
        }
        Iommu::Unknown => check(String::new()).unknown(&facts.because("ACPI tables and IOMMU groups")),
        Iommu::Off if !needs.lacks_now.is_empty() => {
            let tokens: Vec<&str> = needs.lacks_now.iter().map(|parameter| parameter.token.as_str()).collect();
            if !facts.waits_for_reboot() {
                return check(seen).missing(NextStep::Prepare, WHY_IOMMU, facts.remedy()).by_command();
            }
            let who = facts.who_has_parameters();
            check(format!("{seen} yet; {who} has it: {}", tokens.join(" "))).missing(NextStep::Reboot, WHY_IOMMU, facts.reboot())
        }
        Iommu::Off | Iommu::FirmwareOff | Iommu::Guest | Iommu::Xen => check(seen).missing(NextStep::Firmware, WHY_IOMMU, remedy),
    }
}

const WHY_REMAPPING: &str =
    "without it a device could be made to send any interrupt to the host, so VFIO refuses the card (Operation not permitted)";
/// What the kernel logs without it.
const OFF: [&str; 3] = ["Disabling interrupt remapping", "No interrupt remapping", "Failed to enable irq remapping"];
/// Accepts the risk permanently.
const ACCEPT: &str = "if the guest is trusted: echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' > /etc/modprobe.d/unsafe-interrupts.conf, and reboot";

pub(super) fn interrupt_remapping(facts: &Facts) -> Option<Check> {
    let (host, observed) = (facts.host, facts.observed);
    // Without an IOMMU there is no interrupt remapping.
    if host.platform.iommu != Iommu::On {
        return None;
    }
    let check = |seen: &str| Check::ok("interrupt-remapping", Topic::Iommu, "interrupt remapping", seen);
    let accepted = observed.unsafe_interrupts == Some(true);
    let logged = |words: &[&str]| facts.log().iter().any(|line| words.iter().any(|word| line.contains(word)));
    let remapped = observed.interrupt_chips.iter().any(|chip| chip.starts_with("IR-"));
    if remapped || logged(&["Enabled IRQ remapping", "Interrupt remapping enabled"]) {
        let check = check("on");
        return Some(if accepted {
            check.care(
                "vfio_iommu_type1.allow_unsafe_interrupts is set, but not needed here",
                "remove allow_unsafe_interrupts=1 from the file that has it: grep -rn allow_unsafe_interrupts /etc/modprobe.d /etc/default",
            )
        } else {
            check
        });
    }
    let only_virtio = !observed.iommus.is_empty() && observed.iommus.iter().all(|unit| unit.starts_with("virtio"));
    let off = if only_virtio {
        "not available: a virtio-iommu has none"
    } else if !observed.interrupt_chips.is_empty() || logged(&OFF) {
        "off"
    } else {
        return Some(check("").unknown(&facts.because_closed("/proc/interrupts, the kernel's log")).minor());
    };
    let other = match (only_virtio, host.cpu.is_intel()) {
        (true, _) => {
            "give this virtual machine an IOMMU with interrupt remapping (libvirt: <iommu model='intel'> with <driver intremap='on'/>)"
        }
        (false, true) => {
            "enable x2APIC and VT-d interrupt remapping in the firmware settings, and remove intremap=off from the kernel command line"
        }
        (false, false) => "update the firmware, and remove intremap=off from the kernel command line",
    };
    Some(if accepted {
        check(off).care("VFIO is configured to work without it (allow_unsafe_interrupts): only for trusted guests", other)
    } else {
        check(off).missing(NextStep::Firmware, WHY_REMAPPING, format!("{other}; {ACCEPT}"))
    })
}

pub(super) fn address_width(facts: &Facts) -> Option<Check> {
    let narrowest = facts.host.platform.iommu_bits?;
    let processor = facts.host.cpu.physical_bits?;
    let check = Check::ok(
        "address-width",
        Topic::Iommu,
        "address width",
        format!("the IOMMU maps {narrowest} bits, the processor has {processor}"),
    );
    Some(if narrowest < processor {
        check.care(
            "a guest that sees the processor's full width may place memory regions where the IOMMU cannot map them (VFIO_MAP_DMA failed: Invalid argument)",
            format!("in the domain: <cpu …><maxphysaddr mode='passthrough' limit='{narrowest}'/></cpu>"),
        )
    } else {
        check.minor()
    })
}

/// Warnings about the host that have no check of their own.
pub(super) fn other_warnings(facts: &Facts) -> Vec<Check> {
    const CHECKED: [&str; 6] = ["virtualization-off", "iommu-off", "iommu-firmware-off", "iommu-guest", "iommu-xen", "iommu-unknown"];
    let others = of_host(facts.host).into_iter().filter(|warning| !CHECKED.contains(&warning.code));
    others.map(|warning| Check::of_finding(&warning, Topic::Iommu, "disks", "hidden devices cannot be passed through")).collect()
}
