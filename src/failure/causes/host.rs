//! What the host gives every guest: KVM, memory, processors, networks, the hook.

use super::cause::{Cause, KERNEL, START, Weight, When};
use crate::model::{PARENT_DOWN, PARENT_DOWN_REMEDY};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "hook-refused",
        lines: &["/etc/libvirt/hooks/qemu.d/vgapt {other}exit status {number}: vgapt: {rest}"],
        what: "vgapt's hook refused the start: {rest}",
        remedy: "do what the message says after its semicolon; vgapt start {name} says the same before libvirt is asked",
        source: "libvirt src/util/virhook.c, vgapt hook",
        ..START
    },
    Cause {
        code: "other-hook-failed",
        lines: &["Hook script execution failed: internal error: Child process ({path}) unexpected exit status {number}{rest}"],
        what: "a script in /etc/libvirt/hooks ended with status {number}{rest}, which refuses the start",
        remedy: "run it by hand to see where it fails: sudo sh -x /etc/libvirt/hooks/qemu {name} prepare begin - </dev/null; vgapt check lists the hooks that are not vgapt's",
        source: "libvirt src/util/virhook.c",
        ..START
    },
    Cause {
        code: "hook-not-run",
        lines: &["Hook script execution failed: {rest}"],
        what: "libvirt could not run a script in /etc/libvirt/hooks: {rest}",
        remedy: "ls -lZ /etc/libvirt/hooks /etc/libvirt/hooks/qemu.d; a script needs a first line such as #!/bin/sh and the right to be executed (chmod +x)",
        source: "libvirt src/util/virhook.c",
        ..START
    },
    Cause {
        code: "kvm-missing",
        lines: &[
            "Could not access KVM kernel module: No such file or directory",
            "failed to initialize kvm: No such file or directory",
            "failed to initialize KVM: No such file or directory",
            "does not support virt type 'kvm'",
            "could not find capabilities for domaintype=kvm",
            "is not supported by emulator '/usr/bin/qemu-system-x86_64' domain type 'kvm'",
        ],
        what: "/dev/kvm does not exist: the module is not loaded, or the firmware disables VT-x or SVM",
        remedy: "modprobe kvm_intel or modprobe kvm_amd (as root); if that fails, vgapt check says why",
        source: "QEMU accel/kvm/kvm-all.c, libvirt src/qemu/qemu_capabilities.c",
        ..START
    },
    Cause {
        code: "kvm-denied",
        lines: &[
            "Could not access KVM kernel module: Permission denied",
            "failed to initialize kvm: Permission denied",
            "failed to initialize KVM: Permission denied",
        ],
        what: "QEMU's user may not open /dev/kvm",
        remedy: "ls -l /dev/kvm; it belongs to the group kvm: sudo usermod -aG kvm $USER for qemu:///session (then log in again), for qemu:///system the user in /etc/libvirt/qemu.conf",
        source: "QEMU accel/kvm/kvm-all.c",
        ..START
    },
    Cause {
        code: "kvm-busy",
        lines: &[
            "failed to initialize kvm: Device or resource busy",
            "failed to initialize KVM: Device or resource busy",
            "ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy",
        ],
        what: "another hypervisor has the processor's virtualization, such as VirtualBox or VMware",
        remedy: "end its guests; lsmod | grep -e vbox -e vmmon shows their modules",
        source: "QEMU accel/kvm/kvm-all.c",
        ..START
    },
    Cause {
        code: "hugepages-short",
        lines: &[
            "unable to map backing store for guest RAM: Cannot allocate memory",
            "unable to map backing store for hugepages: Cannot allocate memory",
            "Insufficient free host memory pages available to allocate guest RAM",
            "preallocating memory failed: Bad address",
        ],
        what: "the host has fewer free huge pages than the guest has memory",
        remedy: "grep -i huge /proc/meminfo shows how many are free; vgapt prepare installs the hook that reserves them at each start; or without them: vgapt define {name} --no-hugepages",
        source: "QEMU util/mmap-alloc.c and util/oslib-posix.c; OpenNebula issue 3124",
        ..START
    },
    Cause {
        code: "hugepages-not-mounted",
        lines: &["hugetlbfs filesystem is not mounted", "Unable to find any usable hugetlbfs mount"],
        what: "libvirt sees no place where huge pages of this size are mounted",
        remedy: "systemctl start dev-hugepages.mount, then systemctl restart libvirtd (or virtqemud), which looks for it only when it starts",
        source: "libvirt src/qemu/qemu_conf.c",
        ..START
    },
    Cause {
        code: "hugepages-denied",
        lines: &["can't open backing store /dev/hugepages/{path} for guest RAM: {why}"],
        what: "QEMU may not make a file in /dev/hugepages: {why}",
        remedy: "systemctl restart libvirtd (or virtqemud), which makes its folder there at its start; ls -lZ /dev/hugepages shows whose it is",
        source: "QEMU backends/hostmem-file.c",
        ..START
    },
    Cause {
        code: "memory-short",
        lines: &[
            "cannot set up guest memory '{word}': Cannot allocate memory",
            "qemu: could not allocate",
            "failed to initialize KVM: Cannot allocate memory",
            "failed to initialize kvm: Cannot allocate memory",
            "Cannot allocate memory (errno 12)",
        ],
        what: "the host has not as much free memory as the guest needs",
        remedy: "free -h shows it; give the guest less: vgapt define {name} --memory SIZE; free huge pages that nobody uses: sudo sysctl vm.nr_hugepages=0",
        source: "QEMU system/physmem.c",
        ..START
    },
    Cause {
        code: "network-off",
        lines: &["network '{word}' is not active"],
        what: "libvirt's network {word} is not started",
        remedy: "virsh net-start {word}; at each boot: virsh net-autostart {word}",
        source: "libvirt src/network/bridge_driver.c",
        ..START
    },
    Cause {
        code: "network-unknown",
        lines: &["no network with matching name '{word}'"],
        what: "libvirt has no network {word}",
        remedy: "virsh net-list --all shows those that there are; to use another: virsh edit {name}",
        source: "libvirt src/network/bridge_driver.c",
        ..START
    },
    Cause {
        code: "parent-down",
        lines: &["Unable to configure VF {number} of PF '{word}' because the PF is not online"],
        what: PARENT_DOWN,
        remedy: PARENT_DOWN_REMEDY,
        source: "libvirt src/util/virnetdev.c",
        ..START
    },
    Cause {
        code: "bridge-missing",
        lines: &[
            "Cannot get interface MTU on '{word}': No such device",
            "Unable to add bridge {word} port",
            "failed to get mtu of bridge `{word}': No such device",
        ],
        what: "the host has no bridge {word}",
        remedy: "ip link show type bridge lists those that there are; vgapt define {name} --network bridge=BRIDGE uses another",
        source: "libvirt src/util/virnetdev.c",
        ..START
    },
    Cause {
        code: "firewall-failed",
        lines: &["internal error: Failed to apply firewall rules", "Failed to apply firewall command"],
        what: "libvirt could not set the firewall rules of the network",
        remedy: "systemctl restart libvirtd (or virtnetworkd) after the firewall; virsh net-list --all shows which network is off",
        source: "libvirt src/util/virfirewall.c",
        ..START
    },
    Cause {
        code: "tap-denied",
        lines: &["failed to create tun device: Operation not permitted", "/usr/lib/qemu/qemu-bridge-helper {rest}"],
        what: "a session of libvirt may not make a network device",
        remedy: "use qemu:///system, or a network without one: vgapt define {name} --network user",
        source: "QEMU qemu-bridge-helper.c",
        ..START
    },
    Cause {
        code: "port-in-use",
        lines: &[
            "binding socket to {word} failed",
            "failed to initialize spice server",
            "Failed to bind socket: Address already in use",
            "Failed to find an available port: Address already in use",
            "Unable to find an unused port in range",
        ],
        what: "the port of the guest's window (SPICE or VNC) is used by another program",
        remedy: "ss -tlnp shows by which; with virsh edit {name} write autoport='yes' into <graphics>, so that libvirt finds a free one",
        source: "QEMU ui/vnc.c and ui/spice-core.c, libvirt src/util/virportallocator.c",
        ..START
    },
    Cause {
        code: "cpus-missing",
        lines: &[
            "Invalid value '{word}' for 'cpuset.cpus'",
            "/cpuset.cpus': Invalid argument",
            "/cpuset.cpus': Permission denied",
            "cannot set CPU affinity on process {number}: Invalid argument",
            "Invalid value '{word}' for 'cpuset.mems'",
        ],
        what: "the guest is pinned to processors or memory nodes that the host does not have, or that are offline or kept from guests",
        remedy: "cat /sys/devices/system/cpu/online; vgapt define {name} --cpus auto pins it to what there is",
        source: "libvirt src/util/vircgroup.c, src/util/virprocess.c",
        ..START
    },
    Cause {
        code: "scope-left-over",
        lines: &[
            "Unit machine-qemu{path}.scope already exists",
            "Unit machine-qemu{path}.scope was already loaded",
            "Machine 'qemu-{path}' already exists",
        ],
        what: "systemd still has the unit of the guest's last run",
        remedy: "systemctl list-units 'machine-qemu*' shows it; systemctl reset-failed, and stop it by its name; else reboot",
        source: "systemd src/core/dbus-manager.c, src/machine/machined-dbus.c",
        ..START
    },
    Cause {
        code: "already-running",
        lines: &["domain is already running", "Domain is already active"],
        what: "the domain runs already",
        remedy: "see its state: vgapt status {name}",
        source: "libvirt src/qemu/qemu_driver.c",
        ..START
    },
    Cause {
        code: "domain-locked",
        lines: &["cannot acquire state change lock"],
        what: "libvirt is still busy with an earlier request for this domain, which hangs",
        remedy: "the daemon's log names it: journalctl -u libvirtd -u virtqemud; a hook that calls virsh does this; restart the daemon: systemctl restart libvirtd (or virtqemud)",
        source: "libvirt src/qemu/qemu_domainjob.c; passthrough-ilayna pull request 12",
        ..START
    },
    Cause {
        code: "virtiofsd",
        lines: &["virtiofsd died unexpectedly", "Unable to find a satisfying virtiofsd", "virtiofsd binary '{path}' is not executable"],
        what: "the program that shares a folder with the guest is missing or has ended",
        remedy: "apt install virtiofsd, dnf install virtiofsd, or pacman -S virtiofsd; its log is beside the guest's in /var/log/libvirt/qemu: {name}-fs0-virtiofsd.log",
        source: "libvirt src/qemu/qemu_virtiofs.c",
        ..START
    },
    Cause {
        code: "oom-killed",
        logs: KERNEL,
        lines: &[
            "Out of memory: Killed process {number} (qemu-{rest}",
            "Out of memory: Killed process {number} (CPU {rest}",
            "Memory cgroup out of memory: Killed process {number} (qemu-{rest}",
            "Out of memory: Kill process {number} (qemu-{rest}",
        ],
        when: When::Both,
        what: "the host ran out of memory, and the kernel ended QEMU (process {number})",
        remedy: "give the guest less memory: vgapt define {name} --memory SIZE; leave the host 2 GiB or more; a <hard_limit> in its XML must be above the guest's memory",
        source: "Linux mm/oom_kill.c",
        ..START
    },
    Cause {
        code: "denied-by-apparmor",
        logs: KERNEL,
        lines: &["apparmor=\"DENIED\"{other}profile=\"libvirt-{word}\" name=\"{path}\""],
        weight: Weight::IfNamed,
        when: When::Both,
        what: "AppArmor does not let QEMU open {path}",
        remedy: "permit it for all guests: sudo mkdir -p /etc/apparmor.d/local/abstractions && printf '%s rk,\\n' {path} | sudo tee -a /etc/apparmor.d/local/abstractions/libvirt-qemu (rwk for what is written), then start the domain again; or move the file to /var/lib/libvirt/images",
        source: "Linux security/apparmor/audit.c",
    },
    Cause {
        code: "denied-by-selinux",
        logs: KERNEL,
        lines: &[
            "avc:  denied  {other}comm=\"qemu-{word}\"{rest}name=\"{path}\"",
            "avc:  denied  {other}comm=\"qemu-{word}\"{rest}path=\"{path}\"",
        ],
        weight: Weight::IfNamed,
        when: When::Both,
        what: "SELinux does not let QEMU open {path}",
        remedy: "ls -Z shows its label; sudo restorecon -v FILE where it lies in a folder of libvirt, else sudo chcon -t virt_image_t FILE; sudo ausearch -m avc -ts recent shows all refusals",
        source: "Linux security/selinux/avc.c",
    },
];
