//! vgapt and libvirt's QEMU driver, which is never the machine's own.

mod attach;
#[path = "../support/command.rs"]
mod command;
mod every_card;
mod guide_flags;
mod imported;
#[path = "../support/libvirt.rs"]
mod libvirt;
mod life_cycle;
#[path = "../support/lines.rs"]
mod lines;
mod profiles;
mod three_way;
mod virt_manager;

/// What the driver inside a client needs.
const QEMU: [&str; 2] = ["virsh", "qemu-system-x86_64"];
/// What a daemon of one's own needs.
const DAEMON: [&str; 5] = ["virsh", "qemu-system-x86_64", "libvirtd", "unshare", "setpriv"];
/// Options that give a domain something of everything.
const EVERYTHING: &str =
    "--gpu 01:00.0 --keyboard 046d:c31c --mouse 046d:c077 --memory 4G --cpus 4 --cdrom /vm/win10.iso --virtio-iso /vm/virtio-win.iso";

/// A command line of words, and after it those that may have spaces.
fn words<'w>(line: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    line.split_whitespace().chain(more.iter().copied()).collect()
}
