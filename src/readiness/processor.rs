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
        return check("exists, but cannot be used: virtualization is disabled in the processor".into())
            .missing(Step::Firmware, WHY, "enable virtualization first, see above")
            .minor();
    }
    if !node.there {
        let module = if host.cpu.is_intel() { "kvm_intel" } else { "kvm_amd" };
        let remedy = match host.cpu.virtualization() {
            Some(false) => "enable virtualization first, see above".to_owned(),
            _ => format!("modprobe {module}; if it fails, the kernel log says why (dmesg | grep -i kvm)"),
        };
        return check("does not exist".into()).missing(Step::Kernel, WHY, remedy);
    }
    match node.qemu_may {
        Some(true) => check("exists, and QEMU may use it".into()),
        Some(false) => check(format!("exists (mode {:03o}), but the user that QEMU runs as may not use it", node.mode)).missing(
            Step::Software,
            WHY,
            "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm, and add QEMU's user to the group kvm (usermod -aG kvm libvirt-qemu, or qemu)",
        ),
        None => check("exists".into()),
    }
}
