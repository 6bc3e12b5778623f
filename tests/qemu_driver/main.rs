//! vgapt and libvirt's QEMU driver, which is never the machine's own.

use std::fs;
use std::path::Path;

mod attach;
#[path = "../support/command.rs"]
mod command;
mod every_card;
mod exported;
mod guide_flags;
mod imported;
mod iommufd;
#[path = "../support/libvirt.rs"]
mod libvirt;
mod life_cycle;
#[path = "../support/lines.rs"]
mod lines;
mod nodes;
mod profiles;
mod queues;
mod record;
#[path = "../support/small_scripts.rs"]
mod small_scripts;
mod three_way;
mod two_writers;
mod virt_manager;
mod virtual_functions;
mod window;

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

/// Recorded machines have no firmware for guests; this is Debian's, with and without Secure Boot.
const FIRMWARE: &str = "
[/usr/share/OVMF]
OVMF_CODE_4M.fd ? 3653632
OVMF_CODE_4M.ms.fd ? 3653632
OVMF_VARS_4M.fd ? 540672
OVMF_VARS_4M.ms.fd ? 540672
";

/// A recorded machine on which Debian's firmware is installed.
fn with_firmware(libvirt: &libvirt::Libvirt, machine: &Path) -> String {
    let own = libvirt.path(machine.file_name().and_then(|name| name.to_str()).expect("a file of fixtures"));
    fs::write(&own, fs::read_to_string(machine).expect("a recorded machine") + FIRMWARE).expect("own folder");
    own
}
