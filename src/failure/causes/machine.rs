//! The machine that the guest sees: its type, processor, firmware, TPM; and faults of QEMU and KVM.

use super::cause::{Cause, KERNEL, START, Weight, When};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "emulator-missing",
        lines: &["Cannot check QEMU binary {path}: No such file or directory", "Cannot find suitable emulator for {word}"],
        what: "QEMU is not installed, or not where the domain says",
        remedy: "apt install qemu-system-x86, dnf install qemu-kvm, or pacman -S qemu-desktop; or name the one that is there: vgapt define {name} --emulator FILE",
        source: "libvirt src/qemu/qemu_capabilities.c",
        ..START
    },
    Cause {
        code: "emulator-denied",
        lines: &["cannot execute binary {path}: Permission denied"],
        what: "libvirt may not run {path}: it is not executable, or AppArmor or SELinux permits only the distribution's QEMU",
        remedy: "ls -lZ {path}; sudo dmesg | grep -i denied shows a refusal; use the distribution's: vgapt define {name} --emulator /usr/bin/qemu-system-x86_64",
        source: "libvirt src/util/vircommand.c; qemu-anti-detection issue 103",
        ..START
    },
    Cause {
        code: "emulator-broken",
        lines: &["error while loading shared libraries: {rest}", "version `{word}' not found (required by {rest})"],
        what: "QEMU does not start: it needs a library that is missing, or is of another version",
        remedy: "update all packages together, or install QEMU anew; for a QEMU of your own: ldd FILE | grep 'not found'; or use the distribution's: vgapt define {name} --emulator /usr/bin/qemu-system-x86_64",
        source: "glibc elf/dl-load.c and elf/dl-version.c; doomedraven/Tools issue 33",
        ..START
    },
    Cause {
        code: "not-in-this-qemu",
        lines: &[
            "unsupported configuration: {rest} is not supported by this QEMU binary",
            "unsupported configuration: {rest} is not supported with this QEMU binary",
            "unsupported configuration: {rest} not supported in this QEMU binary",
        ],
        what: "this QEMU does not have what the domain asks for: {rest}",
        remedy: "update QEMU, or install the package of it that has this; else take it out of the domain: virsh edit {name}",
        source: "libvirt src/qemu/qemu_validate.c; webvirtcloud issue 311",
        ..START
    },
    Cause {
        code: "spice-without-window",
        lines: &["chardev 'spicevmc' not supported without spice graphics"],
        what: "the domain has a channel of SPICE, but no window of SPICE",
        remedy: "virsh edit {name}, and remove each <channel> and <redirdev> with type='spicevmc', or add <graphics type='spice'/>",
        source: "libvirt src/qemu/qemu_validate.c; KVM-GPU-Passthrough issue 16",
        ..START
    },
    Cause {
        code: "machine-unknown",
        lines: &[
            "does not support machine type '{word}'",
            "unsupported machine type",
            "unsupported configuration: machine type '{word}' is not supported",
        ],
        what: "this QEMU does not have the guest's machine type: it is older than the one that the domain was made with",
        remedy: "qemu-system-x86_64 -machine help lists those that there are; virsh edit {name}, and in <type machine='…'> write q35 or pc, whichever the old name begins with",
        source: "QEMU system/vl.c, libvirt src/qemu/qemu_validate.c",
        ..START
    },
    Cause {
        code: "cpu-features-missing",
        lines: &[
            "Host CPU does not provide required features: {rest}",
            "guest CPU doesn't match specification: missing features: {rest}",
            "guest CPU doesn't match specification: extra features: {rest}",
        ],
        what: "the host's processor does not have what the guest's asks for: {rest}",
        remedy: "use the host's processor as it is: virsh edit {name}, and write <cpu mode='host-passthrough'/>",
        source: "libvirt src/cpu/cpu_x86.c, src/qemu/qemu_process.c",
        ..START
    },
    Cause {
        code: "cpu-unknown",
        lines: &[
            "the CPU is incompatible with host CPU",
            "unable to find CPU definition",
            "Unknown CPU model {word}",
            "CPU model '{word}' not found",
            "Host doesn't support requested features",
            "guest and host CPU are not compatible",
        ],
        what: "this host or this QEMU does not have the processor that the guest asks for",
        remedy: "use the host's processor as it is: virsh edit {name}, and write <cpu mode='host-passthrough'/>",
        source: "libvirt src/cpu/cpu_x86.c, QEMU target/i386/cpu.c",
        ..START
    },
    Cause {
        code: "topology-wrong",
        lines: &["Invalid CPU topology", "CPU topology doesn't match", "Invalid SMP CPUs {number}", "cpu topology: {rest}"],
        what: "sockets, dies, cores and threads of the guest's processor do not make its number of processors",
        remedy: "vgapt define {name} --cpus auto",
        source: "QEMU hw/core/machine-smp.c",
        ..START
    },
    Cause {
        code: "firmware-none",
        lines: &["Unable to find any firmware to satisfy 'efi'", "Unable to find 'efi' firmware that is compatible"],
        what: "no firmware is installed that has what the domain asks for (UEFI, perhaps with Secure Boot)",
        remedy: "apt install ovmf, dnf install edk2-ovmf, or pacman -S edk2-ovmf; ls /usr/share/qemu/firmware shows those that libvirt knows",
        source: "libvirt src/qemu/qemu_firmware.c",
        ..START
    },
    Cause {
        code: "firmware-mismatch",
        lines: &["block backend provides {number} bytes", "system firmware {rest}"],
        what: "the firmware and its variables do not belong together: one is of 2 MiB and the other of 4 MiB, or a file has another format than the domain says",
        command: "virsh start {name} --reset-nvram",
        remedy: "it makes the variables anew from their template; qemu-img info FILE shows the format of a firmware",
        source: "QEMU hw/block/block.c; virt-manager issue 807",
        ..START
    },
    Cause {
        code: "no-smm",
        lines: &["System Management Mode not supported", "SMM is not supported"],
        what: "KVM or QEMU has no System Management Mode here, which Secure Boot needs",
        remedy: "use a firmware without Secure Boot: vgapt define {name} --loader FILE",
        source: "QEMU hw/i386/x86.c",
        ..START
    },
    Cause {
        code: "tpm-missing",
        lines: &[
            "Unable to find 'swtpm' binary",
            "Unable to find 'swtpm_setup'",
            "Cannot find 'swtpm_setup' in path",
            "Cannot find 'swtpm' in path",
            "TPM version '2.0' is not supported",
            "The TPM backend 'emulator' is not supported",
            "TPM device type 'emulator' is not supported",
        ],
        what: "the program that emulates the guest's TPM is not installed",
        remedy: "apt install swtpm swtpm-tools, dnf install swtpm swtpm-tools, or pacman -S swtpm; then systemctl restart libvirtd (or virtqemud)",
        source: "libvirt src/util/virtpm.c",
        ..START
    },
    Cause {
        code: "tpm-failed",
        lines: &[
            "Could not run '/usr/bin/swtpm_setup'",
            "swtpm_setup'. exitstatus: {number}",
            "Could not start 'swtpm'",
            "swtpm died and reported",
            "Could not get process id of swtpm",
            "tpm-emulator: TPM result for {rest}",
        ],
        what: "the program that emulates the guest's TPM failed",
        remedy: "sudo tail /var/log/swtpm/libvirt/qemu/{name}-swtpm.log says why; often the folder /var/lib/swtpm-localca does not belong to the user tss or swtpm, or AppArmor's profile of swtpm refuses a file: sudo dmesg | grep swtpm",
        source: "libvirt src/qemu/qemu_tpm.c",
        ..START
    },
    Cause {
        code: "device-model-missing",
        lines: &["'{word}' is not a valid device model name", "does not support video model '{word}'"],
        what: "this QEMU does not have the device {word}: it is in a package of its own, or was built without it",
        remedy: "apt list 'qemu-system*', dnf list 'qemu-*' or pacman -Ss qemu shows the packages; or take it out: virsh edit {name}",
        source: "QEMU system/qdev-monitor.c, libvirt src/qemu/qemu_validate.c",
        ..START
    },
    Cause {
        code: "property-unknown",
        lines: &["Property '{word}' not found"],
        what: "this QEMU does not have the property {word} that the domain's QEMU options set",
        remedy: "virsh edit {name}, and remove it from <qemu:commandline> or <qemu:override>",
        source: "QEMU qom/object.c",
        ..START
    },
    Cause {
        code: "address-taken",
        lines: &[
            "Attempted double use of PCI Address {other}",
            "PCI: slot {number} function {number} not available for {rest}",
            "PCI: slot {number} function 0 already occupied",
        ],
        what: "two devices of the guest have the same address",
        remedy: "virsh edit {name}, and remove the <address> of one of them: libvirt finds a free one",
        source: "QEMU hw/pci/pci.c, libvirt src/conf/domain_addr.c",
        ..START
    },
    Cause {
        code: "duplicate-id",
        lines: &["Duplicate ID '{word}' for {other}", "Duplicate device ID '{word}'"],
        what: "two devices of the guest have the id {word}, usually one of them from QEMU options",
        remedy: "virsh edit {name}, and give the one in <qemu:commandline> another id",
        source: "QEMU util/qemu-option.c",
        ..START
    },
    Cause {
        code: "guest-panicked",
        lines: &["panic hyperv: {rest}", "panic s390: {rest}", "guest panicked", "Guest crashed"],
        when: When::Run,
        what: "the guest's own system crashed: the host and QEMU did nothing wrong",
        remedy: "the guest's own logs say why (Windows: the file C:\\Windows\\Minidump, Linux: journalctl -b -1); a driver of the card is the usual reason",
        source: "libvirt src/qemu/qemu_process.c",
        ..START
    },
    Cause {
        code: "kvm-internal-error",
        lines: &["KVM internal error. Suberror: {number}", "KVM: entry failed, hardware error {word}", "error: kvm run failed {rest}"],
        weight: Weight::Symptom,
        when: When::Both,
        what: "KVM could not go on with the guest",
        remedy: "sudo dmesg | grep -i kvm says more; undervolting, overclocking and nested guests are frequent reasons; with a passed card also a region that was lost: power the host off and on",
        source: "QEMU accel/kvm/kvm-all.c",
        ..START
    },
    Cause {
        code: "qemu-assertion",
        lines: &["Assertion `{rest}", ": assertion failed: {rest}", "ERROR:../{rest}"],
        when: When::Both,
        what: "QEMU found a fault in itself and ended",
        remedy: "update QEMU; if it is the newest, report the line to QEMU with the domain: virsh dumpxml {name}",
        source: "QEMU, assert(3)",
        ..START
    },
    Cause {
        code: "qemu-crashed",
        logs: KERNEL,
        lines: &["qemu-{other}: segfault at {rest}", "traps: qemu-{rest}", "qemu-kvm[{number}]: segfault at {rest}"],
        when: When::Both,
        what: "QEMU crashed by an invalid access to memory",
        remedy: "update QEMU and its libraries; coredumpctl info qemu-system-x86_64 shows where, for a report to QEMU",
        source: "Linux arch/x86/mm/fault.c",
        ..START
    },
    Cause {
        code: "qemu-killed",
        lines: &["unexpected fatal signal {number}"],
        weight: Weight::Symptom,
        when: When::Both,
        what: "QEMU, or a program that libvirt runs for it, ended by signal {number}",
        remedy: "coredumpctl list shows crashes; signal 9 is a kill: sudo dmesg | grep -i -e oom -e killed",
        source: "libvirt src/util/vircommand.c",
        ..START
    },
];
