//! Lines of the kernel's log that name a cause.

use super::check::{Check, Group};
use super::prepared::Prepared;

/// A cause: lines that tell it, each by words that it has all of; why it matters, what to do.
struct Cause {
    code: &'static str,
    lines: &'static [&'static [&'static str]],
    /// A line with one of these is of healthy machines, too.
    unless: &'static [&'static str],
    why: &'static str,
    remedy: &'static str,
}

impl Cause {
    fn is(&self, line: &str) -> bool {
        self.lines.iter().any(|words| words.iter().all(|word| line.contains(word))) && !self.unless.iter().any(|word| line.contains(word))
    }
}

/// Wordings of the kernel (drivers/iommu, drivers/pci, drivers/vfio, arch/x86), of NVIDIA's driver and of vgapt's own script.
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
        unless: &[],
        why: "the processor can do it, the firmware does not let it",
        remedy: "switch virtualization (VT-x, SVM) on in the firmware settings, and switch the machine off and on",
    },
    Cause {
        code: "log-svm-off",
        lines: &[&["SVM not supported"]],
        unless: &[],
        why: "KVM cannot work",
        remedy: "switch SVM on in the firmware settings",
    },
    Cause {
        code: "log-iommu-disabled",
        lines: &[&["DMAR: IOMMU disabled"]],
        unless: &[],
        why: "the kernel was told to leave the IOMMU off",
        remedy: "vgapt prepare takes intel_iommu=off off the command line",
    },
    Cause {
        code: "log-bar",
        lines: &[&["vfio", "can't reserve"]],
        unless: &[],
        why: "something of the host, mostly the boot framebuffer, holds the card's memory region",
        remedy: "make another display primary in the firmware settings; grep -B1 -A2 -e BOOTFB -e simple /proc/iomem names the holder",
    },
    Cause {
        code: "log-no-space",
        lines: &[
            &["BAR ", "[mem", "no space"],
            &["BAR ", "[mem", "failed to assign"],
            &["BAR ", "[mem", "can't claim", "no compatible bridge window"],
        ],
        // ROMs and the windows of bridges are left without room on many machines, and nobody misses them.
        unless: &["BAR 6", "BAR 7", "BAR 8", "BAR 9", "BAR 10", "BAR 11", "BAR 12", "BAR 13", "BAR 14", "BAR 15", "ROM", ": bridge window"],
        why: "a memory region of the card has no address, so neither the host nor a guest can use it",
        remedy: "switch Above 4G Decoding (and resizable BAR) on in the firmware settings and start the host by UEFI, not CSM; else add pci=realloc to the kernel's command line",
    },
    Cause {
        code: "log-not-ready",
        lines: &[&["not ready", "giving up"]],
        unless: &[],
        why: "the card did not come back from its reset or from its sleep",
        remedy: "switch the host off and on (a reboot may not do); keep the card from D3cold (options vfio-pci disable_idle_d3=1); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-reset",
        lines: &[&["vfio-pci", "ailed to reset"], &["reset recovery - restoring BARs"]],
        unless: &[],
        why: "the card did not come back from its reset",
        remedy: "switch the host off and on (a reboot may not do); for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-gpu-reset",
        lines: &[&["GPU reset", "failed"], &["GPU reset end with ret = -"], &["ASIC reset failed"]],
        unless: &[],
        why: "the host's driver could not bring the card back, so a guest gets it in the same state",
        remedy: "switch the host off and on (a reboot may not do); bind the card at boot, before its driver: vgapt prepare --bind boot; for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-aer",
        lines: &[&["AER", "ncorrect", "(Fatal)"]],
        unless: &[],
        why: "the link to the device failed, and what was on it is lost; the host may hang with it",
        remedy: "switch the host off and on; look at the card's slot, riser and power cables; set the slot to an older PCIe generation in the firmware settings; where it comes with the card's sleep: options vfio-pci disable_idle_d3=1",
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
        unless: &[],
        why: "it waits inside the kernel, mostly for a driver that does not let go of a card; what waits so cannot be ended",
        remedy: "reboot; then end what uses the card before the domain starts (vgapt start names who has it open), or bind it at boot: vgapt prepare --bind boot",
    },
    Cause {
        code: "log-off-bus",
        lines: &[&["NVRM", "fallen off the bus"]],
        unless: &[],
        why: "the card does not answer any more",
        remedy: "switch the host off and on; look at its power cables and its slot, and at what resets it",
    },
    Cause {
        code: "log-usage-count",
        lines: &[&["non-zero usage count"]],
        unless: &[],
        why: "a program has the card open, and NVIDIA's driver waits for it: taking the card from the host hangs for ever",
        remedy: "reboot; then end what uses the card before the domain starts (vgapt start names who has it open), or bind it at boot: vgapt prepare --bind boot",
    },
    Cause {
        code: "log-probe",
        lines: &[&["vfio-pci", "probe of", "failed with error"], &["probe with driver vfio-pci failed with error"]],
        unless: &[],
        why: "vfio-pci could not take the device (error -22: the IOMMU is off, or the device is in no IOMMU group)",
        remedy: "see what is said of the IOMMU and of the card's group",
    },
    Cause {
        code: "log-rmrr",
        lines: &[&["ineligible for IOMMU domain attach due to platform RMRR"]],
        unless: &[],
        why: "the firmware keeps memory of its own for this device, so the kernel does not let it go to a guest",
        remedy: "update the firmware, and switch off what uses the device there (management controller, shared memory); else another slot",
    },
    Cause {
        code: "log-identity",
        lines: &[&["1:1", "IOMMU mapping"]],
        unless: &[],
        why: "the firmware wants this device to see memory as it is (IVRS or RMRR), so the kernel does not let it go to a guest",
        remedy: "update the firmware, and switch off what uses the device there; else another slot, or another device",
    },
    Cause {
        code: "log-d3cold",
        lines: &[
            &["efused to change power state"],
            &["D3cold", "device inaccessible"],
            &["D3cold", "config space inaccessible"],
            &["D3hot", "device inaccessible"],
        ],
        unless: &[],
        why: "the card was switched off wholly and does not wake",
        remedy: "switch the host off and on; then: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d",
    },
    Cause {
        code: "log-interrupts",
        lines: &[&["No interrupt remapping"]],
        unless: &[],
        why: "VFIO refuses devices without it",
        remedy: "see interrupt remapping",
    },
    Cause {
        code: "log-ivrs",
        lines: &[&["AMD-Vi", "IVRS"]],
        unless: &["ivrs, add"],
        why: "the firmware's IOMMU table is broken, so that interrupt remapping or the IOMMU stays off",
        remedy: "update the firmware",
    },
    Cause {
        code: "log-iommu-timeout",
        lines: &[&["AMD-Vi", "Completion-Wait loop timed out"], &["AMD-Vi", "IOTLB_INV_TIMEOUT"], &["DMAR", "Invalidation Time-out"]],
        unless: &[],
        why: "a device does not answer the IOMMU any more, mostly a card that hangs after its reset or is asleep; the host may hang with it",
        remedy: "switch the host off and on; keep the card awake (options vfio-pci disable_idle_d3=1); update the firmware; for AMD cards see the vendor-reset module",
    },
    Cause {
        code: "log-faults",
        lines: &[&["DMAR", "fault addr"], &["DMAR", "fault status"], &["DMAR", "fault reason"], &["AMD-Vi", "IO_PAGE_FAULT"]],
        unless: &[],
        why: "a device reaches for memory that is not its own: a wrong setting, or a card that was taken away while it worked",
        remedy: "see which device it is; where it is the host's own, update the firmware, or boot with iommu=pt",
    },
    Cause {
        code: "log-sriov",
        lines: &[&["no driver bound to device; cannot configure SR-IOV"]],
        unless: &[],
        why: "virtual functions are made by the driver of the physical one, and it had none",
        remedy: "load the driver of the physical function before something writes to its sriov_numvfs; do not bind it to vfio-pci",
    },
    Cause {
        code: "log-split-lock",
        lines: &[&["/KVM/", "split_lock trap"]],
        unless: &[],
        why: "a program in the guest locks across cache lines, and the kernel slows its processor down each time",
        remedy: "add split_lock_detect=off to the kernel's command line, where the guest stutters",
    },
    Cause {
        code: "log-rom",
        lines: &[&["Invalid PCI ROM header signature"]],
        unless: &[],
        why: "the card's ROM cannot be read, so the guest's firmware gets none",
        remedy: "give the guest a clean copy of it, <rom file='…'/>; vgapt check --rom FILE tells whether one is",
    },
    Cause {
        code: "log-not-bound",
        lines: &[&["vgapt: ", " bound"]],
        unless: &[],
        why: "what was to be bound early was left to the host",
        remedy: "see what is said of the binding",
    },
];

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

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let observed = prepared.facts.observed;
    let check = |seen: String| Check::ok("kernel-log", Group::KernelLog, "kernel log", seen);
    let Some(log) = &observed.log else {
        let because = format!("{} (dmesg)", observed.reach.because_closed());
        return vec![check(String::new()).unknown(&because).minor()];
    };
    let mut codes = Vec::new();
    let mut checks = Vec::new();
    for (index, line) in log.iter().enumerate() {
        let cause =
            CAUSES.iter().find(|cause| cause.is(line)).filter(|cause| cause.code != "log-no-space" || !is_mended(line, &log[index..]));
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
    use super::{CAUSES, is_mended};

    fn code(line: &str) -> Option<&'static str> {
        CAUSES.iter().find(|cause| cause.is(line)).map(|cause| cause.code)
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
