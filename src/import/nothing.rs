//! Options without meaning under libvirt.

use super::draft::Draft;

/// Options, and why they have no meaning.
const MEANINGLESS: &[(&[&str], &str)] = &[
    (&["nodefaults", "no-user-config", "nodefconfig"], "libvirt always sets this"),
    (&["monitor", "qmp", "qmp-pretty", "mon"], "libvirt uses the monitor itself: virsh qemu-monitor-command"),
    (
        &["daemonize", "pidfile", "runas", "chroot", "sandbox", "add-fd", "no-shutdown", "no-quit", "msg", "user"],
        "libvirt starts QEMU and manages it",
    ),
    (&["S"], "vgapt start --paused"),
    (&["full-screen", "alt-grab", "ctrl-grab", "no-frame", "portrait", "rotate"], "libvirt opens no window"),
    (&["incoming", "loadvm"], "libvirt loads saved states itself: virsh restore, virsh snapshot-revert"),
    (&["D", "d", "trace"], "QEMU's log is in /var/log/libvirt/qemu"),
    (&["readconfig", "writeconfig"], "option files are not read: copy the options into the script"),
    (
        &["no-fd-bootchk", "win2k-hack", "no-kvm-irqchip", "no-kvm", "old-param", "no-kvm-pit", "tdf", "show-cursor", "enable-fips"],
        "QEMU no longer has this option",
    ),
    (&["smb"], "QEMU no longer has this option; it started a Samba server, which libvirt forbids: share the folder with <filesystem>"),
    (&["tftp", "bootp"], "QEMU no longer has this option: use tftp= and bootfile= of -netdev user"),
    (&["watchdog-action"], "the script has no watchdog"),
    (&["k"], "the script has no VNC or SPICE whose keyboard layout it could set: <graphics keymap=…>"),
];

pub(super) fn translate(draft: &mut Draft) {
    for (names, why) in MEANINGLESS {
        for index in draft.named(names) {
            draft.drop(index, why);
        }
    }
    // Character devices that only the monitor uses.
    let monitors: Vec<String> = draft
        .options
        .iter()
        .filter(|option| option.name == "mon")
        .filter_map(|option| option.props.peek("chardev").map(str::to_owned))
        .collect();
    for id in monitors {
        if let Some(index) = draft.with("chardev", "id", &id) {
            draft.drop(index, "libvirt uses the monitor itself");
        }
    }
    // Whatever is still unsettled is passed to QEMU unchanged.
    for index in 0..draft.options.len() {
        draft.keep(index, "libvirt has no element for this");
    }
}
