//! Networks, and the window of the guest (SPICE, VNC).

use super::cause::{Cause, START, Weight};
use crate::model::{PARENT_DOWN, PARENT_DOWN_REMEDY};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        code: "network-off",
        lines: &["network '{word}' is not active"],
        what: "libvirt's network {word} is not started",
        command: "virsh net-start {word}",
        remedy: "at each boot: virsh net-autostart {word}",
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
        code: "function-not-set",
        lines: &[
            "Cannot set interface MAC/vlanid to {other} for ifname {word} vf {number}: {why}",
            "Cannot set interface MAC to {other} for ifname {word} vf {number}: {why}",
        ],
        what: "the driver of {word} does not set the MAC address or VLAN of its virtual function {number}: {why}",
        remedy: "a function that is still in a reset is ready a moment later: start the domain again; else ip link show {word} shows what it has now, and sudo dmesg why it keeps that",
        source: "libvirt src/util/virnetdev.c; ethernet-linux-i40e pull request 4",
        ..START
    },
    Cause {
        code: "interface-missing",
        lines: &["Cannot get interface flags on '{word}': No such device", "Unable to get index for interface {word}: No such device"],
        what: "the host has no network interface {word}: its driver is not loaded, or it has another name now",
        remedy: "ip link lists those that there are; name one in the domain: virsh edit {name}",
        source: "libvirt src/util/virnetdev.c; kubevirt pull request 2404",
        ..START
    },
    Cause {
        code: "tun-missing",
        lines: &["Unable to open {path}, is tun module loaded?"],
        what: "the kernel's module for network devices of guests, tun, is not loaded",
        remedy: "modprobe tun (as root); if there is no such module, an update has replaced the files of the kernel that runs: reboot",
        source: "libvirt src/util/virnetdevtap.c",
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
        remedy: "one of libvirt's own, such as virbr0, comes with its network: virsh net-list --all, then virsh net-start NETWORK; ip link show type bridge lists those that there are; vgapt define {name} --network bridge=BRIDGE uses another",
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
        lines: &[
            "failed to create tun device: Operation not permitted",
            "could not configure /dev/net/tun ({word}): Operation not permitted",
            "/usr/lib/qemu/qemu-bridge-helper {rest}",
        ],
        what: "a session of libvirt may not make a network device",
        command: "vgapt define {name} --network user",
        remedy: "or use qemu:///system, which may use the bridge",
        source: "QEMU qemu-bridge-helper.c",
        ..START
    },
    Cause {
        code: "port-in-use",
        lines: &[
            "binding socket to {word} failed",
            "Failed to bind socket: Address already in use",
            "Failed to find an available port: Address already in use",
            "Unable to find an unused port in range",
        ],
        what: "the port of the guest's window (SPICE or VNC) is used by another program, or the host does not have its address",
        remedy: "ss -tlnp shows by which, ip address the addresses; with virsh edit {name} write autoport='yes' into <graphics>, so that libvirt finds a free one",
        source: "QEMU ui/vnc.c and ui/spice-core.c, libvirt src/util/virportallocator.c",
        ..START
    },
    Cause {
        code: "listen-address",
        lines: &["reds_init_socket: getaddrinfo({other}): {why}"],
        what: "the address at which the guest's window (SPICE) is to listen cannot be used now: {other}: {why}",
        remedy: "at boot the host may not have an address yet: start the domain again; else virsh edit {name}, and in <graphics> write <listen type='none'/> for a window on this machine alone, or another address",
        source: "spice server/reds.cpp; cockpit-machines issue 1090",
        ..START
    },
    Cause {
        code: "no-opengl",
        lines: &[
            "egl: eglInitialize failed",
            "egl: eglGetDisplay failed",
            "egl: gbm_create_device failed",
            "egl: no drm render node available",
            "egl: render node init failed",
            "Failed to initialize EGL render node for SPICE GL",
        ],
        what: "QEMU cannot draw the guest's window with OpenGL: no card that the host keeps has a driver for it, or QEMU may not use it",
        remedy: "virsh edit {name}: in <graphics> write <gl enable='no'/>, and in the <model> of <video> remove <acceleration>; or name another card there: <gl enable='yes' rendernode='/dev/dri/renderD128'/>",
        source: "QEMU ui/egl-helpers.c; virt-manager issues 349 and 396",
        ..START
    },
    Cause {
        code: "window-failed",
        lines: &["failed to initialize spice server"],
        weight: Weight::Symptom,
        what: "SPICE, the guest's window, could not be started",
        remedy: "ss -tlnp shows the ports that are used; virsh edit {name}, and in <graphics> write autoport='yes'",
        source: "QEMU ui/spice-core.c",
        ..START
    },
];
