//! Lines of the kernel's log that name a cause.

use super::check::{Check, Group};
use super::facts::Prepared;

/// A cause: the words that a line has all of, why it matters, what to do.
struct Cause {
    code: &'static str,
    words: &'static [&'static str],
    why: &'static str,
    remedy: &'static str,
}

/// Wordings of the kernel (drivers/iommu, drivers/pci, drivers/vfio, arch/x86/kvm) and of vgapt's own script.
const CAUSES: [Cause; 14] = [
    Cause {
        code: "log-kvm-off",
        words: &["isabled by "],
        why: "the processor can do it, the firmware does not let it",
        remedy: "switch virtualization (VT-x, SVM) on in the firmware settings, and switch the machine off and on",
    },
    Cause { code: "log-svm-off", words: &["SVM not supported"], why: "KVM cannot work", remedy: "switch SVM on in the firmware settings" },
    Cause {
        code: "log-iommu-disabled",
        words: &["DMAR: IOMMU disabled"],
        why: "the kernel was told to leave the IOMMU off",
        remedy: "vgapt prepare takes intel_iommu=off off the command line",
    },
    Cause {
        code: "log-bar",
        words: &["vfio", "can't reserve"],
        why: "something of the host, mostly the boot framebuffer, holds the card's memory region",
        remedy: "make another display primary in the firmware settings; grep -B1 -A2 -e BOOTFB -e simple /proc/iomem names the holder",
    },
    Cause {
        code: "log-not-ready",
        words: &["vfio-pci", "not ready"],
        why: "the card did not come back from its reset",
        remedy: "switch the host off and on (a reboot may not do); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-reset",
        words: &["vfio-pci", "ailed to reset"],
        why: "the card did not come back from its reset",
        remedy: "switch the host off and on (a reboot may not do); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-rmrr",
        words: &["ineligible for IOMMU domain attach due to platform RMRR"],
        why: "the firmware keeps memory of its own for this device, so the kernel does not let it go to a guest",
        remedy: "update the firmware, and switch off what uses the device there (management controller, shared memory); else another slot",
    },
    Cause {
        code: "log-d3cold",
        words: &["D3cold", "device inaccessible"],
        why: "the card was switched off wholly and does not wake",
        remedy: "switch the host off and on; then: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d",
    },
    Cause {
        code: "log-interrupts",
        words: &["No interrupt remapping"],
        why: "VFIO refuses devices without it",
        remedy: "see interrupt remapping",
    },
    Cause {
        code: "log-ivrs",
        words: &["AMD-Vi", "IVRS"],
        why: "the firmware's IOMMU table is broken, so that interrupt remapping or the IOMMU stays off",
        remedy: "update the firmware",
    },
    Cause {
        code: "log-faults",
        words: &["DMAR", "fault"],
        why: "a device reaches for memory that is not its own: a wrong setting, or a card that was taken away while it worked",
        remedy: "see which device it is; where it is the host's own, update the firmware, or boot with iommu=pt",
    },
    Cause {
        code: "log-faults",
        words: &["AMD-Vi", "IO_PAGE_FAULT"],
        why: "a device reaches for memory that is not its own: a wrong setting, or a card that was taken away while it worked",
        remedy: "see which device it is; where it is the host's own, update the firmware, or boot with iommu=pt",
    },
    Cause {
        code: "log-rom",
        words: &["Invalid PCI ROM header signature"],
        why: "the card's ROM cannot be read, so the guest's firmware gets none",
        remedy: "give the guest a clean copy of it, <rom file='…'/>; vgapt check --rom FILE tells whether one is",
    },
    Cause {
        code: "log-not-bound",
        words: &["vgapt: ", " bound"],
        why: "what was to be bound early was left to the host",
        remedy: "see what is said of the binding",
    },
];

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let observed = prepared.facts.observed;
    let check = |seen: String| Check::ok("kernel-log", Group::KernelLog, "kernel log", seen);
    let Some(log) = &observed.log else {
        let because = format!("{} (dmesg)", observed.reach.because_closed());
        return vec![check(String::new()).unknown(&because).minor()];
    };
    let mut codes = Vec::new();
    let mut checks = Vec::new();
    for line in log {
        let cause = CAUSES.iter().find(|cause| cause.words.iter().all(|word| line.contains(word)));
        // The first line of a cause tells it; the others are more of the same.
        if let Some(cause) = cause.filter(|cause| !codes.contains(&cause.code)) {
            codes.push(cause.code);
            checks.push(Check { code: cause.code, ..check(line.clone()) }.care(cause.why, cause.remedy));
        }
    }
    if checks.is_empty() {
        checks.push(check("names no cause of trouble".into()).minor());
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::CAUSES;

    fn code(line: &str) -> Option<&'static str> {
        CAUSES.iter().find(|cause| cause.words.iter().all(|word| line.contains(word))).map(|cause| cause.code)
    }

    #[test]
    fn lines_of_real_kernels() {
        for (line, expected) in [
            ("kvm: disabled by bios", Some("log-kvm-off")),
            ("kvm_intel: VMX (outside TXT) disabled by BIOS", Some("log-kvm-off")),
            ("DMAR: IOMMU disabled", Some("log-iommu-disabled")),
            ("DMAR: IOMMU enabled", None),
            ("vfio-pci 0000:0a:00.0: BAR 0: can't reserve [mem 0xe0000000-0xefffffff 64bit pref]", Some("log-bar")),
            ("vfio-pci 0000:0a:00.0: not ready 65535ms after FLR; giving up", Some("log-not-ready")),
            (
                "vfio-pci 0000:01:00.0: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.",
                Some("log-rmrr"),
            ),
            ("vfio-pci 0000:03:00.0: Unable to change power state from D3cold to D0, device inaccessible", Some("log-d3cold")),
            (
                "vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param \"allow_unsafe_interrupts\" to enable",
                Some("log-interrupts"),
            ),
            ("vgapt: 0000:01:00.0 is not 10de:1401 (1043:8520) any more, and is not bound; run: vgapt check", Some("log-not-bound")),
            ("vfio-pci 0000:01:00.0: Invalid PCI ROM header signature: expecting 0xaa55, got 0xffff", Some("log-rom")),
            ("AMD-Vi: Interrupt remapping enabled", None),
            ("vfio-pci 0000:01:00.0: resetting", None),
        ] {
            assert_eq!(code(line), expected, "{line}");
        }
    }
}
