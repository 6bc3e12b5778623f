//! The processor's virtualization, and KVM.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::passthrough;

const WHY: &str = "without KVM a guest is emulated, a hundred times slower";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    vec![virtualization(prepared), kvm(prepared)]
}

fn virtualization(prepared: &Prepared) -> Check {
    let host = prepared.facts.host;
    let check = |seen: String| Check::ok("virtualization", Group::Processor, "virtualization", seen);
    if let Some(finding) = passthrough::of_host(host).into_iter().find(|finding| finding.code == "virtualization-off") {
        return check(finding.message).missing(Step::Firmware, WHY, finding.remedy);
    }
    match host.cpu.virtualization() {
        Some(_) => {
            let name = if host.cpu.flags.contains("svm") { "AMD-V (svm)" } else { "VT-x (vmx)" };
            check(format!("{name} is on"))
        }
        None => check(String::new()).unknown(&format!("{} (/proc/cpuinfo)", prepared.facts.observed.reach.because())),
    }
}

fn kvm(prepared: &Prepared) -> Check {
    let (host, observed) = (prepared.facts.host, prepared.facts.observed);
    let check = |seen: String| Check::ok("kvm", Group::Processor, "/dev/kvm", seen);
    let Some(node) = observed.kvm else {
        return check(String::new()).unknown(observed.reach.because()).minor();
    };
    // udev makes the node at boot, whether or not the module can use the processor (kmod's static nodes).
    if node.there && host.cpu.virtualization() == Some(false) {
        return check("is there, but cannot be used: the processor has virtualization switched off".into())
            .missing(Step::Firmware, WHY, "switch virtualization on first, see above")
            .minor();
    }
    if !node.there {
        let module = if host.cpu.is_intel() { "kvm_intel" } else { "kvm_amd" };
        let remedy = match host.cpu.virtualization() {
            Some(false) => "switch virtualization on first, see above".to_owned(),
            _ => format!("modprobe {module}; where it fails, the kernel's log says why (dmesg | grep -i kvm)"),
        };
        return check("is not there".into()).missing(Step::Kernel, WHY, remedy);
    }
    match node.qemu_may {
        Some(true) => check("is there, and QEMU may use it".into()),
        Some(false) => check(format!("is there (mode {:03o}), and the user that QEMU runs as may not use it", node.mode)).missing(
            Step::Software,
            WHY,
            "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm, and put QEMU's user into the group kvm (usermod -aG kvm libvirt-qemu, or qemu)",
        ),
        None => check("is there".into()),
    }
}
