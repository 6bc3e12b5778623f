//! Devices that are passed through: PCI, USB, input, mediated.

use super::cause::{Cause, START, Weight};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "group-not-viable",
        lines: &["group {number} is not viable"],
        what: "another device of the card's IOMMU group {number} is used by a driver of the host",
        remedy: "see what is in the group, and which driver has it: vgapt list --groups; pass all of it, or bind it: vgapt prepare --gpu ADDRESS; else use another slot",
        source: "QEMU hw/vfio/container.c",
        ..START
    },
    Cause {
        code: "device-busy",
        lines: &[
            "failed to open /dev/vfio/{number}: Device or resource busy",
            "Could not open '/dev/vfio/{number}': Device or resource busy",
        ],
        what: "another guest or program has a device of the IOMMU group {number} open",
        remedy: "fuser -v /dev/vfio/{number} names the process (as root); end it, or stop the domain: virsh list shows those that run",
        source: "QEMU hw/vfio/container.c",
        ..START
    },
    Cause {
        code: "device-of-another-domain",
        lines: &[
            "PCI device {address} is in use by driver QEMU, domain {other}",
            "PCI device {address} is in use by driver {word}, domain {other}",
        ],
        what: "{address} is passed through to the domain {other}, which has it now",
        command: "vgapt stop {other}",
        remedy: "or take the device out of one of them: virsh edit {name}",
        source: "libvirt src/hypervisor/virhostdev.c",
        ..START
    },
    Cause {
        code: "vfio-denied",
        lines: &[
            "failed to open /dev/vfio/{number}: Permission denied",
            "failed to open /dev/vfio/{number}: Operation not permitted",
            "failed to open /dev/vfio/vfio: Permission denied",
            "Could not open '/dev/vfio/vfio': Permission denied",
        ],
        what: "QEMU may not open the card's VFIO device",
        command: "vgapt -c qemu:///system start {name}",
        remedy: "this libvirt gives QEMU the device; where that fails too, cgroup_device_acl of /etc/libvirt/qemu.conf leaves out /dev/vfio/vfio",
        source: "QEMU hw/vfio/container.c",
        ..START
    },
    Cause {
        code: "vfio-missing",
        lines: &[
            "failed to open /dev/vfio/{number}: No such file or directory",
            "failed to open /dev/vfio/vfio: No such file or directory",
            "Could not open '/dev/vfio/vfio': No such file or directory",
            "failed to load kernel module vfio-pci",
            "Failed to load PCI driver module vfio-pci",
            "Failed to load PCI driver module vfio_pci",
        ],
        what: "the kernel's VFIO modules are not loaded, or the card is not bound to vfio-pci",
        command: "sudo modprobe vfio-pci",
        remedy: "then vgapt check says what else the card lacks",
        source: "QEMU hw/vfio/container.c, libvirt src/util/virpci.c",
        ..START
    },
    Cause {
        code: "mdev-unbound",
        lines: &["/sys/bus/mdev/devices/{other}: vfio {word}: no iommu_group found"],
        what: "the mediated device {word} is in no IOMMU group: no VFIO driver has it",
        command: "sudo modprobe -a vfio_iommu_type1 mdev",
        remedy: "on older kernels also vfio_mdev; then make the device anew: mdevctl stop --uuid {word}; mdevctl start --uuid {word}",
        source: "QEMU hw/vfio/container.c; DualCoder/vgpu_unlock issue 47",
        ..START
    },
    Cause {
        code: "iommu-off",
        lines: &[
            "host doesn't support passthrough of host PCI devices",
            "host doesn't support VFIO PCI passthrough",
            "pci backend driver 'default' is not supported",
            "VFIO device assignment is currently not supported on this host",
            "no iommu_group found",
        ],
        what: "the IOMMU is off, or the kernel has no VFIO",
        command: "vgapt prepare --gpu auto",
        remedy: "it switches the IOMMU on; whether the firmware keeps it off, vgapt check says",
        source: "libvirt src/qemu/qemu_hostdev.c, QEMU hw/vfio/device.c",
        ..START
    },
    Cause {
        code: "no-iommufd",
        lines: &["Could not open '/dev/iommu': {why}", "IOMMUFD is not supported on this platform"],
        what: "the domain passes devices through iommufd, which the kernel does not have, or whose device /dev/iommu QEMU may not open",
        command: "vgapt define {name} --iommufd off",
        remedy: "they are passed in the older way; or, where the kernel has it: modprobe iommufd (as root)",
        source: "QEMU backends/iommufd.c, libvirt src/util/viriommufd.c; kubevirt issue 18895",
        ..START
    },
    Cause {
        code: "not-responding",
        lines: &[
            "Unknown PCI header type '127' for device",
            // The pin of its interrupt is read as 255 too.
            "pci_irq_handler: Assertion `0 <= irq_num && irq_num < PCI_NUM_PINS' failed",
        ],
        what: "a passed device does not answer: what is read of it is all ones, as after a reset that failed, or while it has no power",
        remedy: "vgapt reset ADDRESS shows how it can be reset; if that does not help, power the host off and on; keep the card awake: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d; for AMD cards see the vendor-reset module",
        source: "libvirt src/util/virpci.c, QEMU hw/pci/pci.c; vendor-reset issue 46",
        ..START
    },
    Cause {
        code: "device-not-found",
        lines: &[
            "Device {address} not found: could not access",
            "vfio {address}: no such host device",
            "PCI device {address} not found",
            "no host PCI device at {address}",
        ],
        what: "no PCI function has the address {address} now: it was moved, removed, or has not come back from a reset",
        remedy: "see what is there: vgapt list --all; if the card is not, power the host off and on; if it has another address: vgapt define {name} --gpu ADDRESS",
        source: "libvirt src/util/virpci.c, QEMU hw/vfio/pci.c",
        ..START
    },
    Cause {
        code: "stuck-in-d3",
        lines: &["vfio: Unable to power on device, stuck in D3", "vfio {address}: Unable to power on device, stuck in D3"],
        what: "the card does not wake from its low-power state",
        remedy: "power the host off and on; then keep the card awake: echo 'options vfio-pci disable_idle_d3=1' | sudo tee /etc/modprobe.d/vfio-d3.conf, rebuild the initramfs, reboot",
        source: "QEMU hw/vfio/pci.c; vm-curator issue 60",
        ..START
    },
    Cause {
        code: "bus-reset-blocked",
        lines: &["not doing bus reset"],
        what: "the card can be reset only together with its bus, and another device of the bus is in use",
        remedy: "pass all functions of the card together: vgapt define {name} --gpu ADDRESS does so; vgapt list --groups shows them",
        source: "libvirt src/util/virpci.c",
        ..START
    },
    Cause {
        code: "reset-failed",
        lines: &["Unable to reset PCI device {address}"],
        what: "the card {address} cannot be reset",
        command: "vgapt reset {address}",
        remedy: "if that does not help, power the host off and on",
        source: "libvirt src/util/virpci.c",
        ..START
    },
    Cause {
        code: "unbind-failed",
        lines: &[
            "Failed to unbind PCI device '{address}' from",
            "Failed to bind PCI device '{address}' to",
            "failed to bind PCI device {address} to",
            "Failed to add PCI device ID",
        ],
        what: "libvirt could not take the card from its host driver, or vfio-pci refused it",
        command: "vgapt prepare --gpu auto --bind boot",
        remedy: "it is bound before its driver then; the kernel log says more: sudo dmesg | grep -i vfio",
        source: "libvirt src/util/virpci.c",
        ..START
    },
    Cause {
        code: "address-too-wide",
        lines: &["VFIO_MAP_DMA failed: Invalid argument", ") = -22 (Invalid argument)"],
        weight: Weight::Symptom,
        what: "the guest uses addresses that are wider than the host's IOMMU translates",
        remedy: "virsh edit {name}, and in <cpu> write <maxphysaddr mode='passthrough' limit='39'/>",
        source: "QEMU hw/vfio/container.c; LookingGlass issue 1184",
        ..START
    },
    Cause {
        code: "memory-lock",
        lines: &[
            ") = -12 (Cannot allocate memory)",
            "VFIO_MAP_DMA failed: Cannot allocate memory",
            "VFIO_MAP_DMA: -12",
            "VFIO_MAP_DMA: Cannot allocate memory",
            "cannot limit locked memory",
        ],
        what: "QEMU may not lock as much memory as the guest has, and a passed device needs all of it locked",
        remedy: "with qemu:///system: virsh edit {name}, and in <memtune> write a larger <hard_limit>, or remove it (libvirt then sets the limit); with qemu:///session use qemu:///system",
        source: "QEMU hw/vfio/container.c, libvirt src/qemu/qemu_domain.c",
        ..START
    },
    Cause {
        code: "memory-not-pinned",
        lines: &[") = -14 (Bad address)", "VFIO_MAP_DMA failed: Bad address"],
        weight: Weight::Symptom,
        what: "the kernel cannot lock a part of the guest's memory: the place that backs it is full (/dev/shm, a disk, huge pages of one node), or it is a device's region",
        remedy: "df -h /dev/shm and grep -i huge /proc/meminfo show the room; where folders are shared: virsh edit {name}, and in <memoryBacking> write <source type='memfd'/>",
        source: "QEMU hw/vfio/container.c; kvm-guest-drivers-windows issue 573, kata-containers issue 9553",
        ..START
    },
    Cause {
        code: "address-spaces",
        lines: &["group {number} used in multiple address spaces"],
        what: "the guest has an IOMMU of its own, which separates devices that are in one group {number} of the host",
        remedy: "put the functions of the card on one slot of the guest: vgapt define {name} --gpu ADDRESS does so; or remove <iommu> from the domain: virsh edit {name}",
        source: "QEMU hw/vfio/container.c; kata-containers issue 10622",
        ..START
    },
    Cause {
        code: "interrupt-shared",
        lines: &["Failed to set up TRIGGER eventfd signaling for interrupt INTX-0", "failed to enable INTx: Device or resource busy"],
        what: "the device shares its interrupt line with another device of the host, and cannot mask it",
        remedy: "cat /proc/interrupts shows with which; unbind that one, or use another slot",
        source: "QEMU hw/vfio/pci.c",
        ..START
    },
    Cause {
        code: "iommu-refused",
        lines: &[
            "Failed to set iommu for container: {why}",
            "failed to set iommu for container: {why}",
            "Failed to set group container: Invalid argument",
        ],
        weight: Weight::Symptom,
        what: "the kernel does not assign the device: interrupts are not remapped, or the firmware reserves memory for the device (RMRR, a 1:1 mapping)",
        remedy: "sudo dmesg | grep -i -e remapping -e RMRR -e 1:1 says which; vgapt check has the remedy for each",
        source: "QEMU hw/vfio/container.c, Linux drivers/vfio/vfio_iommu_type1.c; gatekeeper issue 718",
        ..START
    },
    Cause {
        code: "device-not-given",
        lines: &["error getting device from group {number}"],
        weight: Weight::Symptom,
        what: "VFIO does not give QEMU the device: it is bound to no VFIO driver, is in use, or does not wake up",
        remedy: "see the driver of each device of group {number}: vgapt list --groups; the kernel log says more: sudo dmesg | grep -i vfio",
        source: "QEMU hw/vfio/container.c",
        ..START
    },
    Cause {
        code: "vfio-held-by-libvirt",
        lines: &["vfio {address}: {other}: device is already attached"],
        what: "the device {address} is given to the guest twice",
        remedy: "see the elements that pass it, also QEMU options: vgapt explain {name}; remove one of them",
        source: "QEMU hw/vfio/container.c",
        ..START
    },
    Cause {
        code: "rom-missing",
        lines: &["failed to find romfile \"{path}\"", "failed to load romfile \"{path}\""],
        what: "QEMU cannot read the card's ROM file {path}: it does not exist, or QEMU's user or AppArmor may not read it",
        remedy: "ls -lZ {path}; QEMU's user can read it in /usr/share/vgabios or /var/lib/libvirt/images: vgapt define {name} --rom FILE names another copy",
        source: "QEMU hw/pci/pci.c; passthrough-ilayna issue 8",
        ..START
    },
    Cause {
        code: "rom-empty",
        lines: &["romfile \"{path}\" is empty", "romfile \"{path}\" too large"],
        what: "{path} is no ROM of a card",
        command: "vgapt define {name} --no-rom",
        remedy: "it leaves the file out; vgapt check --rom {path} says what it is",
        source: "QEMU hw/pci/pci.c",
        ..START
    },
    Cause {
        code: "rom-invalid",
        lines: &["Device option ROM contents are probably invalid", "Cannot read device rom at {address}"],
        weight: Weight::Symptom,
        what: "the card's ROM cannot be read, so the guest's firmware shows nothing on it; many guests start all the same",
        remedy: "give the guest a clean copy: vgapt define {name} --rom FILE; vgapt check --rom FILE verifies a copy",
        source: "QEMU hw/vfio/pci.c",
        ..START
    },
    Cause {
        code: "group-not-owned",
        lines: &["Cannot reset device {address}, depends on group {number} which is not owned"],
        weight: Weight::Symptom,
        what: "the card can be reset only together with a device of group {number}, which the guest does not have",
        remedy: "see the device: vgapt list --groups; pass it too: vgapt define {name} --pci ADDRESS",
        source: "QEMU hw/vfio/pci.c; Single-GPU-Passthrough issue 103",
        ..START
    },
    Cause {
        code: "no-reset",
        lines: &["Cannot reset device {address}, no available reset mechanism"],
        weight: Weight::Symptom,
        what: "the device {address} cannot be reset, so a second start may find it in the state of the first",
        remedy: "power the host off and on before the next start; for AMD cards see the vendor-reset module",
        source: "QEMU hw/vfio/pci.c",
        ..START
    },
    Cause {
        code: "input-missing",
        lines: &[
            "Could not open '/dev/input/{path}': No such file or directory",
            "Could not open '/dev/input/{path}': No such device",
            "Unable to access /dev/input/{path}: No such file or directory",
        ],
        what: "the input device /dev/input/{path} is not plugged in, or has another name now",
        remedy: "ls /dev/input/by-id/ shows those that are there; vgapt define {name} --evdev DEVICE names another",
        source: "QEMU ui/input-linux.c",
        ..START
    },
    Cause {
        code: "input-denied",
        lines: &["Could not open '/dev/input/{path}': Permission denied", "Could not open '/dev/input/{path}': Operation not permitted"],
        what: "QEMU may not open the input device /dev/input/{path}",
        command: "vgapt define {name} --evdev /dev/input/{path}",
        remedy: "libvirt permits what it passes itself; in QEMU options it needs cgroup_device_acl in /etc/libvirt/qemu.conf",
        source: "QEMU ui/input-linux.c",
        ..START
    },
    Cause {
        code: "input-in-use",
        lines: &["Could not open '/dev/input/{path}': Device or resource busy", "is not an evdev device"],
        what: "an input device is held by another program, or is none",
        remedy: "ls -l /dev/input/by-id/ shows the devices whose names end with -event-kbd or -event-mouse; end the guest or program that has grabbed it",
        source: "QEMU ui/input-linux.c",
        ..START
    },
    Cause {
        code: "usb-missing",
        lines: &[
            "Did not find USB device {other}",
            "failed to find host usb device {other}",
            "failed to open /dev/bus/usb/{other}: No such file or directory",
        ],
        what: "the USB device {other} is not plugged in",
        remedy: "see those that are: vgapt list --usb; plug it in, or take it out of the domain: virsh edit {name}",
        source: "libvirt src/util/virusb.c",
        ..START
    },
    Cause {
        code: "usb-denied",
        lines: &["failed to open /dev/bus/usb/{path}: Permission denied", "failed to open /dev/bus/usb/{path}: Operation not permitted"],
        what: "QEMU may not open the USB device /dev/bus/usb/{path}",
        remedy: "let libvirt pass it, which permits it to QEMU: vgapt define {name} --usb VENDOR:PRODUCT; with qemu:///session your own user must be permitted, by a udev rule",
        source: "QEMU hw/usb/host-libusb.c; kubevirt issue 10727",
        ..START
    },
    Cause {
        code: "usb-ambiguous",
        lines: &["Multiple USB devices for {other}, use <address>"],
        what: "more than one USB device has the ids {other}",
        remedy: "see them: vgapt list --usb; name one by bus and device: virsh edit {name}, and in <source> of the <hostdev> write <address bus='B' device='D'/>",
        source: "libvirt src/util/virusb.c",
        ..START
    },
    Cause {
        code: "usb-of-another-domain",
        lines: &["USB device {number}:{number} is in use by driver", "USB device {other} is in use by driver QEMU, domain"],
        what: "another domain that runs has the USB device",
        remedy: "virsh list shows the domains that run; stop that one, or detach the device from it",
        source: "libvirt src/hypervisor/virhostdev.c",
        ..START
    },
    Cause {
        code: "mdev-missing",
        lines: &["mediated device '{word}' not found", "failed to open /sys/bus/mdev/devices/{word}"],
        what: "the mediated device {word} does not exist",
        command: "mdevctl start --uuid {word}",
        remedy: "it makes the device; mdevctl list --defined shows those that are known",
        source: "libvirt src/util/virmdev.c",
        ..START
    },
    Cause {
        code: "kvmfr",
        lines: &[
            "can't open backing store /dev/kvmfr0 for guest RAM: {why}",
            "can't open backing store /dev/kvmfr{number} for guest RAM: {why}",
        ],
        what: "QEMU cannot open the device of the kvmfr module for Looking Glass: {why}",
        remedy: "modprobe kvmfr (as root; if its key is rejected, Secure Boot wants it signed: mokutil(1)), let QEMU's user open it, and name /dev/kvmfr0 in cgroup_device_acl of /etc/libvirt/qemu.conf; or use shared memory: vgapt define {name} --no-looking-glass, then vgapt define {name} --looking-glass 1920x1080",
        source: "QEMU backends/hostmem-file.c; Looking Glass documentation, ivshmem with the KVMFR module",
        ..START
    },
    Cause {
        code: "shared-memory-denied",
        lines: &["can't open backing store /dev/shm/{path} for guest RAM: Permission denied"],
        what: "QEMU may not open the shared memory /dev/shm/{path}, which another user has made",
        remedy: "rm /dev/shm/{path} (as root), and start the domain before the client of Looking Glass",
        source: "QEMU backends/hostmem-file.c; LookingGlass issue 184",
        ..START
    },
];
