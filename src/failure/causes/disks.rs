//! Disks, CDs and shared folders.

use super::cause::{Cause, START, Weight, When};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "disk-locked",
        lines: &[
            "Is another process using the image [{path}]",
            "Failed to get \"write\" lock",
            "Failed to get shared \"write\" lock",
            "Failed to get \"consistent read\" lock",
            "Failed to lock byte {number}",
            "Lockspace resource '{other}' is locked",
        ],
        what: "another guest or program has a disk of the guest open",
        remedy: "virsh list shows the domains that run; sudo fuser -v FILE names the process; two guests cannot share a disk that one of them writes",
        source: "QEMU block/file-posix.c",
        ..START
    },
    Cause {
        code: "backing-file-missing",
        lines: &[
            "Could not open backing file: {other}Could not open '{path}': No such file or directory",
            "Cannot access backing file '{path}' of storage file {other}: No such file or directory",
        ],
        what: "the backing file {path} of a disk does not exist",
        remedy: "put it back; if it was moved: qemu-img rebase -u -b NEW -F qcow2 OVERLAY; vgapt disk info OVERLAY shows the chain",
        source: "QEMU block.c, libvirt src/qemu/qemu_domain.c",
        ..START
    },
    Cause {
        code: "backing-format-missing",
        lines: &[
            "backing file '{path}' of image '{other}' without explicit backing format",
            "format of backing image '{path}' of image '{other}' was not specified",
        ],
        what: "the disk does not say which format its backing file {path} has, and libvirt does not guess",
        remedy: "qemu-img info {path} shows its format; write it down: qemu-img rebase -u -b {path} -F FORMAT OVERLAY",
        source: "libvirt src/storage_file/storage_source.c",
        ..START
    },
    Cause {
        code: "not-that-format",
        lines: &["Image is not in {word} format", "Could not open '{path}': Image is not in qcow2 format"],
        what: "a disk has another format than the domain says",
        remedy: "see its format: vgapt disk info FILE; say it: virsh edit {name}, and in the disk's <driver> write type='raw' or type='qcow2'",
        source: "QEMU block/qcow2.c",
        ..START
    },
    Cause {
        code: "firmware-missing",
        lines: &[
            "Failed to open file '/usr/share/{path}': No such file or directory",
            "Could not open '/usr/share/{path}': No such file or directory",
            "Failed to open file '/usr/share/{path}.fd': No such file or directory",
            "cannot open file '/usr/share/{path}': No such file or directory",
        ],
        what: "the firmware file /usr/share/{path} does not exist: its package was removed, or has other names now",
        remedy: "apt install ovmf, dnf install edk2-ovmf, or pacman -S edk2-ovmf; then let libvirt choose: vgapt define {name} --loader auto",
        source: "libvirt src/qemu/qemu_nvram.c, QEMU hw/block/pflash_cfi01.c",
        ..START
    },
    Cause {
        code: "variables-template",
        lines: &["unable to find any master var store for loader: {path}"],
        what: "libvirt knows no template for the variables of the firmware {path}",
        command: "vgapt define {name} --loader auto",
        remedy: "libvirt chooses both then; or name the template: virsh edit {name}, and write <nvram template='FILE'>",
        source: "libvirt src/qemu/qemu_process.c; macOS-Simple-KVM issue 170",
        ..START
    },
    Cause {
        code: "variables-not-made",
        lines: &["Failed to create file '/var/lib/libvirt/qemu/nvram/{path}': {why}"],
        what: "libvirt cannot make the file of the guest's firmware variables: {why}",
        remedy: "df -h /var/lib/libvirt and ls -ldZ /var/lib/libvirt/qemu/nvram show room and rights; sudo dmesg | grep -i 'i/o error' a drive that is faulty",
        source: "libvirt src/util/virfile.c; Single-GPU-Passthrough issue 8",
        ..START
    },
    Cause {
        code: "variables-missing",
        lines: &[
            "Could not open '/var/lib/libvirt/qemu/nvram/{path}': {why}",
            "Failed to open file '/var/lib/libvirt/qemu/nvram/{path}': {why}",
        ],
        what: "QEMU cannot open the guest's firmware variables /var/lib/libvirt/qemu/nvram/{path}: {why}",
        command: "virsh start {name} --reset-nvram",
        remedy: "it makes them anew from their template",
        source: "QEMU block/file-posix.c",
        ..START
    },
    Cause {
        code: "disk-missing",
        lines: &[
            "Cannot access storage file '{path}' (as uid:{number}, gid:{number}): No such file or directory",
            "Cannot access storage file '{path}': No such file or directory",
            "Could not open '{path}': No such file or directory",
            "Could not open \"{path}\": No such file or directory",
            "Unable to stat {path}: No such file or directory",
            "Storage volume not found: no storage vol with matching path '{path}'",
        ],
        what: "the file {path} does not exist",
        remedy: "put it back, or take it out of the domain: virsh edit {name}; vgapt show {name} lists the disks and CDs",
        source: "libvirt src/qemu/qemu_domain.c, QEMU block/file-posix.c",
        ..START
    },
    Cause {
        code: "disk-denied",
        lines: &[
            "Cannot access storage file '{path}' (as uid:{number}, gid:{number}): Permission denied",
            "Cannot access storage file '{path}': Permission denied",
            "Cannot access storage file '{path}' (as uid:{number}, gid:{number}): Operation not permitted",
            "Cannot access storage file '{path}': Operation not permitted",
            "Could not open '{path}': Permission denied",
            "Could not reopen file '{path}': Permission denied",
            "Could not open \"{path}\": Permission denied",
        ],
        what: "QEMU's user may not open {path}, or may not enter a folder above it",
        remedy: "namei -l {path} shows the rights on the way; sudo setfacl -m u:libvirt-qemu:x FOLDER lets QEMU's user in (on Fedora and Arch it is called qemu); or move the file to /var/lib/libvirt/images",
        source: "libvirt src/qemu/qemu_domain.c, QEMU block/file-posix.c",
        ..START
    },
    Cause {
        code: "memory-not-shared",
        lines: &["'virtiofs' requires shared memory", "virtiofs requires shared memory"],
        what: "a folder is shared through virtiofs, but the guest's memory is not shared with the program that does it",
        remedy: "virsh edit {name}, and in <memoryBacking> write <source type='memfd'/><access mode='shared'/>",
        source: "libvirt src/qemu/qemu_validate.c; vagrant-libvirt issue 1806",
        ..START
    },
    Cause {
        code: "pool-off",
        lines: &["storage pool '{word}' is not active", "no storage pool with matching name '{word}'"],
        what: "libvirt's storage pool {word} is not started, or does not exist",
        command: "virsh pool-start {word}",
        remedy: "at each boot: virsh pool-autostart {word}",
        source: "libvirt src/storage/storage_driver.c",
        ..START
    },
    Cause {
        code: "disk-full",
        lines: &["No space left on device (28)", "block I/O error in device '{other}': No space left on device"],
        when: When::Both,
        what: "the file system of a disk is full, and the guest is paused until there is room",
        command: "virsh resume {name}",
        remedy: "once there is room; df -h shows where there is none",
        source: "libvirt src/qemu/qemu_process.c",
        ..START
    },
    Cause {
        code: "disk-error",
        lines: &["block I/O error in device '{other}': {why}"],
        weight: Weight::Symptom,
        when: When::Both,
        what: "a disk of the guest cannot be read or written: {why}",
        remedy: "sudo dmesg | grep -i -e 'I/O error' -e nvme -e ata shows whether the drive is faulty; make a copy of the disk before anything else",
        source: "libvirt src/qemu/qemu_process.c",
        ..START
    },
];
