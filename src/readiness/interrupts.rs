//! Interrupt remapping: without it a guest could send interrupts of its choice to the host, and VFIO refuses.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::model::Iommu;

const WHY: &str = "without it a device could be made to send any interrupt to the host, so VFIO refuses the card (Operation not permitted)";
/// Accepts the risk permanently.
const ACCEPT: &str = "if the guest is trusted: echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' > /etc/modprobe.d/unsafe-interrupts.conf, and reboot";

pub(super) fn check(prepared: &Prepared) -> Option<Check> {
    let (host, observed) = (prepared.facts.host, prepared.facts.observed);
    // Without an IOMMU there is no interrupt remapping.
    if host.platform.iommu != Iommu::On {
        return None;
    }
    let check = |seen: &str| Check::ok("interrupt-remapping", Group::Iommu, "interrupt remapping", seen);
    let accepted = observed.unsafe_interrupts == Some(true);
    if remapped(prepared) {
        let check = check("on");
        return Some(if accepted {
            check.care("vfio_iommu_type1.allow_unsafe_interrupts is set, but not needed here", "remove allow_unsafe_interrupts=1")
        } else {
            check
        });
    }
    let only_virtio = !observed.iommus.is_empty() && observed.iommus.iter().all(|unit| unit.name.starts_with("virtio"));
    let off = if only_virtio {
        "not available: a virtio-iommu has none"
    } else if !observed.interrupt_chips.is_empty() || log_says_off(prepared) {
        "off"
    } else {
        let because = format!("{} (/proc/interrupts, the kernel's log)", observed.reach.because_closed());
        return Some(check("").unknown(&because).minor());
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
        check(off).missing(Step::Firmware, WHY, format!("{other}; {ACCEPT}"))
    })
}

fn remapped(prepared: &Prepared) -> bool {
    let observed = prepared.facts.observed;
    let log = observed.log.as_deref().unwrap_or_default();
    observed.interrupt_chips.iter().any(|chip| chip.starts_with("IR-"))
        || log.iter().any(|line| line.contains("Enabled IRQ remapping") || line.contains("Interrupt remapping enabled"))
}

fn log_says_off(prepared: &Prepared) -> bool {
    let log = prepared.facts.observed.log.as_deref().unwrap_or_default();
    let words = ["Disabling interrupt remapping", "No interrupt remapping", "Failed to enable irq remapping"];
    log.iter().any(|line| words.iter().any(|word| line.contains(word)))
}
