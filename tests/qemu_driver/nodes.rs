//! A guest on several NUMA nodes, and options of disks and network cards: what libvirt's schema, its QEMU driver and vgapt itself make
//! of them.

use std::fs;

use super::command::{Ran, Z170, run, vgapt};
use super::libvirt::{Libvirt, have, skip};
use super::lines::without;
use super::{DAEMON, QEMU};
use crate::guide_flags::options;

/// The processors and memory of a recorded machine with two nodes, and how much memory each of these has.
fn two_nodes(libvirt: &Libvirt) -> String {
    let of = |path: &str| fs::read_to_string(path).unwrap();
    let node = |number: u32| format!("[/sys/devices/system/node/node{number}]\nmeminfo |\n| Node {number} MemTotal: 67108864 kB\n");
    let processors = of("fixtures/processors/xeon-6140-x2.host").replacen("vgapt capture 1\n", "", 1);
    let machine = libvirt.path("two-nodes.host");
    // Of two entries for one path the longer one counts.
    let own = of(Z170).replace("[/sys/devices/system/cpu]", "[/elsewhere/cpu]").replace("[/sys/devices/system/cpu/", "[/elsewhere/cpu/");
    fs::write(&machine, own + &processors + &node(0) + &node(1)).unwrap();
    machine
}

#[test]
fn libvirt_takes_the_nodes_of_a_guest() {
    if !have("NUMA cells of vgapt's on the embedded QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let machine = two_nodes(&libvirt);
    let define = |arguments: &[&str]| -> Ran {
        let template = libvirt.template("linux");
        run(vgapt(["--root", &machine, "-c", &libvirt.uri, "define", "wide", "--force"]).args(arguments).args(&template))
    };
    let all = ["--pin", "--cpus", "64", "--memory", "16G", "--network", "none", "--hugepages"];
    define(&all).with(0).saying(&["on the nodes 0-1, which the guest sees as its own"]);
    let xml = libvirt.xml("wide");
    for expected in [
        "<cell id='0' cpus='0-31' memory='8388608' unit='KiB'/>",
        "<cell id='1' cpus='32-63' memory='8388608' unit='KiB'/>",
        "<memory mode='strict' nodeset='0-1'/>",
        "<memnode cellid='1' mode='strict' nodeset='1'/>",
    ] {
        assert!(xml.contains(expected), "no {expected} in\n{xml}");
    }
    define(&all).with(0).saying(&["already up to date"]);
    let file = libvirt.path("wide.xml");
    // libvirt looks for these nodes on this machine.
    fs::write(&file, without(&xml, "numatune").replace("<hugepages/>", "")).unwrap();
    let argv = options(&libvirt.virsh(&["domxml-to-native", "qemu-argv", &file]).stdout);
    for cell in ["-numa node,nodeid=0,cpus=0-31,memdev=ram-node0", "-numa node,nodeid=1,cpus=32-63,memdev=ram-node1"] {
        assert!(argv.iter().any(|option| option == cell), "no {cell} in {argv:#?}");
    }
    // More memory than a node has: cells without processors are libvirt's too.
    define(&["--cpus", "2", "--memory", "80G"]).with(0);
    assert!(libvirt.xml("wide").contains("<cell id='1' memory='25165824' unit='KiB'/>"), "{}", libvirt.xml("wide"));
    define(&["--guest-numa", "no"]).with(0);
    assert!(!libvirt.xml("wide").contains("<numa>"), "{}", libvirt.xml("wide"));
}

#[test]
fn libvirt_takes_the_options_of_disks_and_network() {
    if !have("options of disks and network against domxml-to-native", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let disk = ["fast", "--disk", "/vm/disk.qcow2", "--cpus", "2"];
    libvirt.define_new(&[&disk[..], &["--network-queues", "2"]].concat()).with(1).saying(&["2 queues need a network card"]);
    libvirt.define_new(&[&disk[..], &["--network", "bridge=br7", "--network-queues", "2", "--detect-zeroes", "yes"]].concat()).with(0);
    let xml = libvirt.xml("fast");
    for expected in ["<driver queues='2'/>", "discard='unmap' detect_zeroes='unmap'"] {
        assert!(xml.contains(expected), "no {expected} in\n{xml}");
    }
    let explained = libvirt.vgapt(&["explain", "fast"]).with(0).stdout;
    assert!(explained.contains("--network-queues") && explained.contains("--detect-zeroes"), "{explained}");
    let again = libvirt.vgapt(&[
        "define",
        "fast",
        "--network-queues",
        "1",
        "--detect-zeroes",
        "no",
        "--disk-discard",
        "ignore",
        "--disk-cache",
        "none",
    ]);
    again.with(0);
    let xml = libvirt.xml("fast");
    assert!(xml.contains("cache='none' discard='ignore'/>") && !xml.contains("queues="), "{xml}");
    let keep = libvirt.vgapt(&["define", "fast", "--disk-discard", "keep-reserved"]);
    if libvirt.versions().0 < (9, 5) {
        keep.with(1).saying(&["--disk-discard keep-reserved needs libvirt 9.5 or later"]);
        return skip("discard_no_unref", "this libvirt does not know it");
    }
    keep.with(0);
    assert!(libvirt.xml("fast").contains("discard='unmap' discard_no_unref='on'/>"), "{}", libvirt.xml("fast"));
}
