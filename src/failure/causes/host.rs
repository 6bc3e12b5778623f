//! What the host gives every guest: KVM, memory, processors, the hook.

use super::cause::{Cause, KERNEL, START, Weight, When};

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
        code: "driver-in-use",
        lines: &["modprobe: FATAL: Module {word} is in use"],
        what: "a hook unloads the driver {word} while a program uses it",
        remedy: "end the programs that have the card open (vgapt start {name} lists them); no hook needs to unload a driver, libvirt takes the card from it; or bind the card at boot: vgapt prepare --bind boot",
        source: "kmod tools/modprobe.c; Complete-Single-GPU-Passthrough issue 38",
        ..START
    },
    Cause {
        code: "other-hook-failed",
        lines: &["Hook script execution failed: internal error: Child process ({path}) unexpected exit status {number}{rest}"],
        what: "a script in /etc/libvirt/hooks ended with status {number}{rest}, which refuses the start",
        remedy: "what it wrote last stands behind the status; to see each of its steps, write set -x below its first line, and start the domain again (where it ends the desktop, from another machine with ssh); vgapt check lists the hooks that are not vgapt's",
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
            "Domain requires KVM, but it is not available",
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
            "Could not access KVM kernel module: Operation not permitted",
            "failed to initialize kvm: Operation not permitted",
            "failed to initialize KVM: Operation not permitted",
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
        command: "systemctl start dev-hugepages.mount && systemctl try-restart libvirtd virtqemud",
        remedy: "libvirt looks for it only when it starts; for pages of another size than the default: mount -t hugetlbfs -o pagesize=1G none DIRECTORY",
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
        code: "memory-not-bound",
        lines: &["cannot bind memory to host NUMA nodes: {why}"],
        what: "QEMU cannot take the guest's memory from the NUMA nodes that the domain names: {why}",
        remedy: "ls -d /sys/devices/system/node/node* shows those that there are; name others in <numatune>, or remove it: virsh edit {name}",
        source: "QEMU backends/hostmem.c; kubevirt issue 17248",
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
        code: "cpus-missing",
        lines: &[
            "Invalid value '{word}' for 'cpuset.cpus'",
            "/cpuset.cpus': Invalid argument",
            "/cpuset.cpus': Permission denied",
            "cannot set CPU affinity on process {number}: Invalid argument",
            "Invalid value '{word}' for 'cpuset.mems'",
        ],
        what: "the guest is pinned to processors or memory nodes that the host does not have, or that are offline or kept from guests",
        command: "vgapt define {name} --cpus auto",
        remedy: "it pins the domain to what there is: cat /sys/devices/system/cpu/online",
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
        code: "machined-gone",
        lines: &["Message recipient disconnected from message bus without replying"],
        what: "systemd-machined, at which libvirt registers guests, ended at that moment without an answer",
        remedy: "start the domain again; if it repeats: systemctl status systemd-machined",
        source: "D-Bus bus/connection.c; systemd issue 11595",
        ..START
    },
    Cause {
        code: "daemon-ended",
        lines: &["libvirtd quit during handshake"],
        weight: Weight::Symptom,
        what: "libvirt's daemon gave up before QEMU began, or ended",
        remedy: "its log says why: journalctl -u libvirtd -u virtqemud; a hook that restarts the daemon does this too",
        source: "libvirt src/util/vircommand.c; Complete-Single-GPU-Passthrough issue 6",
        ..START
    },
    Cause {
        code: "already-running",
        lines: &["domain is already running", "Domain is already active"],
        what: "the domain runs already",
        command: "vgapt status {name}",
        remedy: "",
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
        code: "apparmor-profile",
        lines: &["cannot load AppArmor profile '{word}'", "cannot update AppArmor profile '{word}'"],
        what: "AppArmor does not take the profile {word} that libvirt makes for the domain",
        remedy: "sudo journalctl -k -g virt-aa-helper shows what kept it from that; sudo apparmor_parser -Q /etc/apparmor.d/libvirt/{word} names a mistake in the profile, or in the files that it includes; a domain's name that begins with [ or * is a reason too",
        source: "libvirt src/security/security_apparmor.c; void-packages issue 31904, virt-manager issue 1046",
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
        command: "",
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
        command: "",
        remedy: "ls -Z shows its label; sudo restorecon -v FILE where it lies in a folder of libvirt, else sudo chcon -t virt_image_t FILE; sudo ausearch -m avc -ts recent shows all refusals",
        source: "Linux security/selinux/avc.c",
    },
];
