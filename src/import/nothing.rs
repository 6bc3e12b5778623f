//! What means nothing under libvirt.

use super::draft::Draft;

/// Options, and why they mean nothing.
const MEANINGLESS: &[(&[&str], &str)] = &[
    (&["nodefaults", "no-user-config", "nodefconfig"], "libvirt always says this"),
    (&["monitor", "qmp", "qmp-pretty", "mon"], "libvirt has the monitor itself: virsh qemu-monitor-command"),
    (
        &["daemonize", "pidfile", "runas", "chroot", "sandbox", "add-fd", "no-shutdown", "no-quit", "msg", "user"],
        "libvirt starts QEMU and looks after it",
    ),
    (&["S"], "vgapt start --paused"),
    (&["full-screen", "alt-grab", "ctrl-grab", "no-frame", "portrait", "rotate"], "libvirt opens no window"),
    (&["incoming", "loadvm"], "libvirt loads states itself: virsh restore, virsh snapshot-revert"),
    (&["D", "d", "trace"], "QEMU's log is in /var/log/libvirt/qemu"),
    (&["readconfig", "writeconfig"], "files of options are not read: put what is in it into the script"),
    (
        &["no-fd-bootchk", "win2k-hack", "no-kvm-irqchip", "no-kvm", "old-param", "no-kvm-pit", "tdf", "show-cursor", "enable-fips"],
        "QEMU does not know it any more",
    ),
    (&["smb"], "QEMU does not know it any more, and would start a Samba for it, which libvirt forbids: share the folder with <filesystem>"),
    (&["tftp", "bootp"], "QEMU does not know it any more: tftp= and bootfile= of -netdev user say it"),
    (&["watchdog-action"], "there is no watchdog of which it could be said"),
    (&["k"], "there is no VNC or SPICE, whose layout of keys it is: <graphics keymap=…>"),
];

pub(super) fn translate(draft: &mut Draft) {
    for (names, why) in MEANINGLESS {
        for index in draft.named(names) {
            draft.drop(index, why);
        }
    }
    // What only the monitor used.
    let monitors: Vec<String> = draft
        .options
        .iter()
        .filter(|option| option.name == "mon")
        .filter_map(|option| option.props.peek("chardev").map(str::to_owned))
        .collect();
    for id in monitors {
        if let Some(index) = draft.with("chardev", "id", &id) {
            draft.drop(index, "libvirt has the monitor itself");
        }
    }
    // What nobody made anything of goes to QEMU as it is.
    for index in 0..draft.options.len() {
        draft.keep(index, "no element says this");
    }
}
