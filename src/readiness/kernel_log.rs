//! Lines of the kernel's log that name a cause.

use super::check::{Check, Topic};
use super::facts::Facts;

/// A cause: the log lines that reveal it, each given as words that must all occur; why it matters, what to do.
pub struct Cause {
    pub code: &'static str,
    lines: &'static [&'static [&'static str]],
    pub why: &'static str,
    /// The command of its remedy, where it has one; `remedy` stands behind it.
    pub command: Option<&'static str>,
    pub remedy: &'static str,
}

impl Cause {
    fn is(&self, line: &str) -> bool {
        let is_healthy = HEALTHY.iter().any(|(code, words)| *code == self.code && words.iter().any(|word| line.contains(word)));
        !is_healthy && self.lines.iter().any(|words| words.iter().all(|word| line.contains(word)))
    }
}

/// Words of lines that healthy machines log too: many have no room for ROMs and bridge windows, which does no harm.
const HEALTHY: [(&str, &[&str]); 2] = [
    (
        "log-no-space",
        &["BAR 6", "BAR 7", "BAR 8", "BAR 9", "BAR 10", "BAR 11", "BAR 12", "BAR 13", "BAR 14", "BAR 15", "ROM", ": bridge window"],
    ),
    ("log-ivrs", &["ivrs, add"]),
];

/// Messages of the kernel (drivers/iommu, drivers/pci, drivers/vfio, arch/x86), of NVIDIA's driver and of vgapt's own script.
const CAUSES: &[Cause] = &[
    Cause {
        code: "log-kvm-off",
        lines: &[
            &["kvm", "isabled by "],
            &["VMX", "isabled by "],
            &["VMX not enabled (by BIOS)"],
            &["SVM disabled (by BIOS)"],
            &["SVM", "isabled by "],
        ],
        why: "the processor supports virtualization, but the firmware disables it",
        command: None,
        remedy: "enable virtualization (VT-x, SVM) in the firmware settings, and power the host off and on",
    },
    Cause {
        code: "log-svm-off",
        lines: &[&["SVM not supported"]],
        why: "KVM cannot work",
        command: None,
        remedy: "enable SVM in the firmware settings",
    },
    Cause {
        code: "log-iommu-disabled",
        lines: &[&["DMAR: IOMMU disabled"]],
        why: "a kernel parameter disables the IOMMU",
        command: Some("vgapt prepare"),
        remedy: "that removes intel_iommu=off from the kernel command line",
    },
    Cause {
        code: "log-bar",
        lines: &[&["vfio", "can't reserve"]],
        why: "the host, usually its boot framebuffer, occupies the card's memory region",
        command: None,
        remedy: "make another display primary in the firmware settings; grep -B1 -A2 -e BOOTFB -e simple /proc/iomem shows what occupies it",
    },
    Cause {
        code: "log-no-space",
        lines: &[
            &["BAR ", "[mem", "no space"],
            &["BAR ", "[mem", "failed to assign"],
            &["BAR ", "[mem", "can't claim", "no compatible bridge window"],
        ],
        why: "a memory region of the card has no address, so neither the host nor a guest can use it",
        command: None,
        remedy: "enable Above 4G Decoding (and resizable BAR) in the firmware settings and boot the host with UEFI, not CSM; otherwise add pci=realloc to the kernel command line",
    },
    Cause {
        code: "log-not-ready",
        lines: &[&["not ready", "giving up"]],
        why: "the card did not recover from a reset or a low-power state",
        command: None,
        remedy: "power the host off and on (a reboot may not be enough); keep the card out of D3cold (options vfio-pci disable_idle_d3=1); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-reset",
        lines: &[&["vfio-pci", "ailed to reset"], &["reset recovery - restoring BARs"]],
        why: "the card did not recover from a reset",
        command: None,
        remedy: "power the host off and on (a reboot may not be enough); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-gpu-reset",
        lines: &[&["GPU reset", "failed"], &["GPU reset end with ret = -"], &["ASIC reset failed"]],
        why: "the host driver could not reset the card, so a guest gets it in the same state",
        command: Some("vgapt prepare --bind boot"),
        remedy: "that binds the card at boot, before its driver; power the host off and on (a reboot may not be enough); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-aer",
        lines: &[&["AER", "ncorrect", "(Fatal)"]],
        why: "the PCIe link to the device failed, and transfers on it were lost; the host may hang",
        command: None,
        remedy: "power the host off and on; check the card's slot, riser and power cables; set the slot to an older PCIe generation in the firmware settings; if it happens when the card enters a low-power state: options vfio-pci disable_idle_d3=1",
    },
    Cause {
        code: "log-hung",
        lines: &[
            &["task ", "libvirt", "blocked for more than"],
            &["task ", "virtqemud", "blocked for more than"],
            &["task ", "qemu", "blocked for more than"],
            &["task CPU ", "/KVM", "blocked for more than"],
            &["task ", "vgapt", "blocked for more than"],
            &["task modprobe", "blocked for more than"],
        ],
        why: "the process waits inside the kernel, usually for a driver that does not release a card, and cannot be killed",
        command: Some("vgapt prepare --bind boot"),
        remedy: "that binds the card at boot; then reboot. Or only reboot, and end the programs that use the card before the domain starts (vgapt start lists them)",
    },
    Cause {
        code: "log-off-bus",
        lines: &[&["NVRM", "fallen off the bus"]],
        why: "the card no longer responds",
        command: None,
        remedy: "power the host off and on; check the card's power cables and slot, and what resets it",
    },
    Cause {
        code: "log-usage-count",
        lines: &[&["non-zero usage count"]],
        why: "a program has the card open, and NVIDIA's driver waits for it: unbinding the card from the driver hangs forever",
        command: Some("vgapt prepare --bind boot"),
        remedy: "that binds the card at boot; then reboot. Or only reboot, and end the programs that use the card before the domain starts (vgapt start lists them)",
    },
    Cause {
        code: "log-probe",
        lines: &[&["vfio-pci", "probe of", "failed with error"], &["probe with driver vfio-pci failed with error"]],
        why: "vfio-pci could not bind the device (error -22: the IOMMU is off, or the device is not in an IOMMU group)",
        command: None,
        remedy: "see the checks of the IOMMU and of the card's group",
    },
    Cause {
        code: "log-rmrr",
        lines: &[&["ineligible for IOMMU domain attach due to platform RMRR"]],
        why: "the firmware reserves memory for this device, so the kernel does not allow it to be assigned to a guest",
        command: None,
        remedy: "update the firmware, and disable in its settings what uses the device (management controller, shared memory); otherwise use another slot",
    },
    Cause {
        code: "log-identity",
        lines: &[&["1:1", "IOMMU mapping"]],
        why: "the firmware requires a 1:1 memory mapping for this device (IVRS or RMRR), so the kernel does not allow it to be assigned to a guest",
        command: None,
        remedy: "update the firmware, and disable in its settings what uses the device; otherwise use another slot, or another device",
    },
    Cause {
        code: "log-d3cold",
        lines: &[
            &["efused to change power state"],
            &["D3cold", "device inaccessible"],
            &["D3cold", "config space inaccessible"],
            &["D3hot", "device inaccessible"],
        ],
        why: "the card was powered down and does not wake up",
        command: None,
        remedy: "power the host off and on; then: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d",
    },
    Cause {
        code: "log-interrupts",
        lines: &[&["No interrupt remapping"]],
        why: "VFIO refuses devices without it",
        command: None,
        remedy: "see the check of interrupt remapping",
    },
    Cause {
        code: "log-ivrs",
        lines: &[&["AMD-Vi", "IVRS"]],
        why: "the firmware's IOMMU table is broken, so interrupt remapping or the IOMMU stays off",
        command: None,
        remedy: "update the firmware",
    },
    Cause {
        code: "log-iommu-timeout",
        lines: &[&["AMD-Vi", "Completion-Wait loop timed out"], &["AMD-Vi", "IOTLB_INV_TIMEOUT"], &["DMAR", "Invalidation Time-out"]],
        why: "a device no longer answers the IOMMU, usually a card that hangs after a reset or is powered down; the host may hang",
        command: None,
        remedy: "power the host off and on; keep the card awake (options vfio-pci disable_idle_d3=1); update the firmware; for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-faults",
        lines: &[&["DMAR", "fault addr"], &["DMAR", "fault status"], &["DMAR", "fault reason"], &["AMD-Vi", "IO_PAGE_FAULT"]],
        why: "a device accesses memory that is not mapped for it: a wrong setting, or a card that was unbound while in use",
        command: None,
        remedy: "find out which device it is; if it belongs to the host, update the firmware, or boot with iommu=pt",
    },
    Cause {
        code: "log-sriov",
        lines: &[&["no driver bound to device; cannot configure SR-IOV"]],
        why: "virtual functions are created by the driver of the physical function, which had none",
        command: None,
        remedy: "load the driver of the physical function before something writes to its sriov_numvfs; do not bind it to vfio-pci",
    },
    Cause {
        code: "log-split-lock",
        lines: &[&["/KVM/", "split_lock trap"]],
        why: "a program in the guest uses split locks (across cache lines), and the kernel slows its CPU down each time",
        command: None,
        remedy: "if the guest stutters, add split_lock_detect=off to the kernel command line",
    },
    Cause {
        code: "log-rom",
        lines: &[&["Invalid PCI ROM header signature"]],
        why: "the card's ROM cannot be read, so the guest's firmware gets none",
        command: None,
        remedy: "give the guest a clean copy of it, <rom file='…'/>; vgapt check --rom FILE verifies a copy",
    },
    Cause {
        code: "log-not-bound",
        lines: &[&["vgapt: ", " bound"]],
        why: "a device that was set up for early binding was left to the host",
        command: None,
        remedy: "see the checks of the binding",
    },
];

/// The cause that a line of the kernel's log names.
pub fn kernel_cause(line: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|cause| cause.is(line))
}

/// A region that had no room at first, and was given an address later.
fn is_mended(line: &str, later: &[String]) -> bool {
    let region = |line: &str| {
        let at = line.find("BAR ")?;
        let number = line[at + 4..].split(|c: char| !c.is_ascii_digit()).next()?;
        Some(format!("{}BAR {number}", line[..at].trim_end_matches("can't claim ")))
    };
    let Some(region) = region(line) else { return false };
    later.iter().any(|other| {
        let rest = other.strip_prefix(&region).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        rest.is_some_and(|rest| rest.contains("assigned") && !rest.contains("can't") && !rest.contains("failed"))
    })
}

pub(super) fn causes(facts: &Facts) -> Vec<Check> {
    let check = |seen: String| Check::ok("kernel-log", Topic::KernelLog, "kernel log", seen);
    let Some(log) = &facts.observed.log else {
        return vec![check(String::new()).unknown(&facts.because_closed("dmesg")).minor()];
    };
    let mut codes = Vec::new();
    let mut checks = Vec::new();
    for (index, line) in log.iter().enumerate() {
        let cause = kernel_cause(line).filter(|cause| cause.code != "log-no-space" || !is_mended(line, &log[index..]));
        // Only the first line of each cause is reported; the others repeat it.
        if let Some(cause) = cause.filter(|cause| !codes.contains(&cause.code)) {
            codes.push(cause.code);
            let check = Check { code: cause.code, ..check(line.clone()) };
            checks.push(Check { command: cause.command.map(str::to_owned), ..check.care(cause.why, cause.remedy) });
        }
    }
    if checks.is_empty() {
        checks.push(check("contains no known problem".into()).minor());
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::{is_mended, kernel_cause};

    fn code(line: &str) -> Option<&'static str> {
        kernel_cause(line).map(|cause| cause.code)
    }

    #[test]
    fn a_region_that_found_room_in_the_end() {
        let log = ["pci 0000:01:00.0: BAR 1 [mem 0x10-0x20 64bit pref]: assigned", "pci 0000:02:00.0: BAR 10: assigned [mem 0x1-0x2]"]
            .map(str::to_owned);
        assert!(is_mended("pci 0000:01:00.0: BAR 1 [mem size 0x800000000 64bit pref]: can't assign; no space", &log));
        assert!(is_mended("pci 0000:01:00.0: can't claim BAR 1 [mem 0x10-0x20 64bit pref]: no compatible bridge window", &log));
        assert!(!is_mended("pci 0000:01:00.0: BAR 3 [mem size 0x800000000 64bit pref]: can't assign; no space", &log));
        assert!(!is_mended("pci 0000:02:00.0: BAR 1: no space for [mem size 0x800000000 64bit pref]", &log));
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
            ("x86/cpu: VMX (outside TXT) disabled by BIOS", Some("log-kvm-off")),
            ("kvm_amd: SVM disabled (by BIOS) in MSR_VM_CR on CPU 0", Some("log-kvm-off")),
            ("x86/cpu: SGX disabled or unsupported by BIOS.", None),
            ("mtrr: MTRRs disabled by BIOS", None),
            ("pcieport 0000:00:1c.0: DPC: disabled by firmware", None),
            ("nvidia 0000:01:00.0: not ready 65535ms after resume; giving up", Some("log-not-ready")),
            ("vfio-pci 0000:01:00.0: not ready 1023ms after FLR; waiting", None),
            ("NVRM: Attempting to remove device 0000:01:00.0 with non-zero usage count!", Some("log-usage-count")),
            ("vfio-pci 0000:01:00.0: probe with driver vfio-pci failed with error -22", Some("log-probe")),
            ("iommu ivhd0: AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0000:0b:00.0 address=0x100215ba0]", Some("log-iommu-timeout")),
            ("pci 0000:01:00.0: BAR 1: no space for [mem size 0x10000000 64bit pref]", Some("log-no-space")),
            ("pci 0000:01:00.0: BAR 6 [mem size 0x00080000 pref]: can't assign; no space", None),
            ("pci 0000:00:1c.0: BAR 13: no space for [io  size 0x1000]", None),
            ("pci 0000:00:1c.0: bridge window [mem size 0x00200000 64bit pref]: can't assign; no space", None),
            (
                "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x1000 [fault reason 0x06] PTE Read access is not set",
                Some("log-faults"),
            ),
            ("DMAR: Host address width 39, default domain", None),
            ("AMD-Vi: ivrs, add hid:AMDI0020, uid:\\_SB.FUR0, rdevid:0x60", None),
            ("vfio-pci 0000:01:00.0: resetting", None),
            ("pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0", Some("log-aer")),
            ("pcieport 0000:00:01.0: AER: Uncorrectable (Fatal) error message received from 0000:01:00.0", Some("log-aer")),
            ("pcieport 0000:00:01.0: AER: Uncorrected (Non-Fatal) error received: 0000:01:00.0", None),
            ("pcieport 0000:00:01.0: AER: Corrected error received: 0000:01:00.0", None),
            ("INFO: task libvirtd:1234 blocked for more than 120 seconds.", Some("log-hung")),
            ("INFO: task rpc-virtqemud:77 blocked for more than 122 seconds.", Some("log-hung")),
            ("INFO: task CPU 3/KVM:77 blocked for more than 122 seconds.", Some("log-hung")),
            ("INFO: task jbd2/sda1-8:200 blocked for more than 120 seconds.", None),
            ("amdgpu 0000:03:00.0: amdgpu: GPU reset(1) failed", Some("log-gpu-reset")),
            ("amdgpu 0000:03:00.0: amdgpu: GPU reset end with ret = -110", Some("log-gpu-reset")),
            ("amdgpu 0000:03:00.0: amdgpu: GPU reset(2) succeeded!", None),
            (
                "pci 0000:01:00.0: can't claim BAR 1 [mem 0xd0000000-0xdfffffff 64bit pref]: no compatible bridge window",
                Some("log-no-space"),
            ),
            ("pci 0000:01:00.0: can't claim BAR 6 [mem 0xfff80000-0xffffffff pref]: no compatible bridge window", None),
            ("nouveau 0000:01:00.0: Refused to change power state, currently in D3", Some("log-d3cold")),
        ] {
            assert_eq!(code(line), expected, "{line}");
        }
    }
}
