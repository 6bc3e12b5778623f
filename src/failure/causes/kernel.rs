//! Lines of the kernel's log beyond those that `readiness` knows.

use super::cause::{Cause, KERNEL, START, Weight, When};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "memory-lock-kernel",
        logs: KERNEL,
        lines: &["RLIMIT_MEMLOCK ({number}) exceeded"],
        what: "QEMU may not lock more than {number} bytes of memory, and a passed device needs all of the guest's locked",
        remedy: "with qemu:///system: virsh edit {name}, and in <memtune> write a larger <hard_limit>, or remove it; with qemu:///session use qemu:///system",
        source: "Linux drivers/vfio/vfio_iommu_type1.c",
        ..START
    },
    Cause {
        code: "kvm-taken",
        logs: KERNEL,
        lines: &["kvm: enabling virtualization on CPU{number} failed"],
        what: "another hypervisor has the processor's virtualization, such as VirtualBox or VMware",
        remedy: "end its guests; lsmod | grep -e vbox -e vmmon shows their modules",
        source: "Linux virt/kvm/kvm_main.c",
        ..START
    },
    Cause {
        code: "kernel-fault",
        logs: KERNEL,
        lines: &[
            "Kernel panic - not syncing: ",
            "BUG: kernel NULL pointer dereference",
            "BUG: unable to handle page fault",
            "general protection fault, probably for non-canonical address",
            "kernel BUG at ",
            "watchdog: BUG: soft lockup",
            "detected hard LOCKUP on cpu",
        ],
        weight: Weight::Reason,
        when: When::Both,
        what: "the host's kernel crashed, wholly or in the driver that it was in",
        command: "",
        remedy: "reboot before the next start; journalctl -k -b -1 -e (or sudo dmesg, if it still runs) names the driver below this line, for a report to it; try the kernel before it, or a newer one",
        source: "Linux arch/x86/mm/fault.c, kernel/panic.c, kernel/watchdog.c; linux-cachyos issue 1023",
    },
    Cause {
        code: "slow-to-wake",
        logs: KERNEL,
        lines: &["not ready {number}ms after {rest}; waiting"],
        weight: Weight::Symptom,
        when: When::Both,
        what: "a device did not answer for {number} ms after {rest}; if it never did, the host may have hung on it",
        command: "",
        remedy: "power the host off and on; keep the card awake: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d; for AMD cards see the vendor-reset module",
        source: "Linux drivers/pci/pci.c; incus-os issue 1146",
    },
    Cause {
        code: "xid",
        logs: KERNEL,
        lines: &["NVRM: Xid (PCI:{word}): {rest}"],
        weight: Weight::Symptom,
        when: When::Both,
        what: "NVIDIA's driver of the host reported a fault of the card: {rest}",
        command: "vgapt prepare --bind boot",
        remedy: "a card that the host's driver has used may not work in a guest",
        source: "NVIDIA, Xid errors",
    },
];

/// Which of the causes that `readiness` knows prevent a start or end a guest; of the others a guest may know nothing.
pub(in crate::failure) const REASONS: &[&str] = &[
    "log-not-ready",
    "log-reset",
    "log-aer",
    "log-hung",
    "log-off-bus",
    "log-usage-count",
    "log-rmrr",
    "log-identity",
    "log-d3cold",
    "log-interrupts",
    "log-iommu-timeout",
];

/// Those of a start that never ends: neither the domain's log nor the daemon's says a word.
pub(in crate::failure) const HANGS: &[&str] = &["log-usage-count", "log-hung"];

/// Those that are shown where no reason is known.
pub(in crate::failure) const SYMPTOMS: &[&str] = &["log-bar", "log-faults", "log-probe", "log-rom", "log-sriov", "log-not-bound"];
