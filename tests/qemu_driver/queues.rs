//! Queues of disks: QEMU makes one for each processor by itself, so that no domain of vgapt's says how many.

use std::io::Write as _;
use std::process::Stdio;

use super::QEMU;
use super::command::command;
use super::guide_flags::options;
use super::libvirt::{Libvirt, have, skip};

/// The value of the option that begins so.
fn option<'o>(argv: &'o [String], beginning: &str) -> &'o str {
    argv.iter().find_map(|option| option.strip_prefix(beginning)).unwrap_or_else(|| panic!("no {beginning} in {argv:#?}"))
}

/// What QEMU itself says of these devices in a machine with four processors.
fn qtree(options: &[&str]) -> String {
    let mut qemu = command("qemu-system-x86_64");
    qemu.args("-machine q35,accel=tcg -smp 4 -m 64 -S -nodefaults -display none -monitor stdio".split(' ')).args(options);
    let mut qemu = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("QEMU starts");
    qemu.stdin.take().unwrap().write_all(b"info qtree\nquit\n").expect("QEMU reads");
    let output = qemu.wait_with_output().expect("QEMU ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("dev: "), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The controller of a domain's disks as libvirt gives it to QEMU, without its place.
fn controller(libvirt: &Libvirt, name: &str) -> serde_json::Value {
    let argv = options(&libvirt.virsh(&["domxml-to-native", "qemu-argv", "--domain", name]).stdout);
    let said = option(&argv, "-device {\"driver\":\"virtio-scsi-pci\"");
    let mut device: serde_json::Value = serde_json::from_str(&format!("{{\"driver\":\"virtio-scsi-pci\"{said}")).unwrap();
    let fields = device.as_object_mut().unwrap();
    fields.remove("bus");
    fields.remove("addr");
    device
}

/// `virtio_pci_optimal_num_queues`, since QEMU 5.2; a MSI-X vector for each, and for the queues that are not a processor's.
#[test]
fn qemu_gives_disks_a_queue_for_each_processor() {
    if !have("QEMU's queues on the embedded QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let define = |name: &'static str, more: &[&str]| {
        let of_disk = ["define", name, "--disk", "/vm/disk.qcow2", "--network", "none", "--cpus", "4", "--memory", "1G"];
        libvirt.vgapt(&[&of_disk, more, &libvirt.template("linux").iter().map(String::as_str).collect::<Vec<_>>()].concat())
    };
    define("one", &[]).with(0);
    assert!(!libvirt.xml("one").contains("queues="), "{}", libvirt.xml("one"));
    let scsi = controller(&libvirt, "one");
    assert_eq!(scsi["iothread"], "iothread1", "{scsi}");
    let block = ["-blockdev", "{\"driver\":\"null-co\",\"node-name\":\"n\",\"size\":1048576}", "-device", "virtio-blk-pci,drive=n"];
    let thread = ["-object", "iothread,id=iothread1", "-device", &scsi.to_string()];
    let said = qtree(&[&thread[..], &block].concat());
    for expected in ["num_queues = 4 (0x4)", "num-queues = 4 (0x4)", "vectors = 7 (0x7)"] {
        assert!(said.contains(expected), "no {expected} in\n{said}");
    }

    let (version, _) = libvirt.versions();
    let several = define("several", &["--io-threads", "2"]);
    if version < (11, 2) {
        several.with(1).saying(&["--io-threads with more than one needs libvirt 11.2 or later"]);
        return skip("several I/O threads", "this libvirt cannot distribute the queues of virtio-scsi");
    }
    several.with(0);
    let scsi = controller(&libvirt, "several");
    let threads: Vec<&str> = scsi["iothread-vq-mapping"].as_array().unwrap().iter().map(|one| one["iothread"].as_str().unwrap()).collect();
    assert_eq!(threads, ["iothread1", "iothread2"], "{scsi}");
    let said = qtree(&["-object", "iothread,id=iothread1", "-object", "iothread,id=iothread2", "-device", &scsi.to_string()]);
    assert!(said.contains("num_queues = 4 (0x4)"), "{said}");
    define("several", &[]).with(0).saying(&["already up to date"]);
    libvirt.vgapt(&["define", "several", "--io-threads", "1"]).with(0);
    let xml = libvirt.xml("several");
    assert!(xml.contains("<driver iothread='1'/>") && xml.contains("<iothreads>1</iothreads>"), "{xml}");
}
