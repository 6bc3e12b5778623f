//! `export --to qemu` against a libvirtd, which has to live afterwards.

use std::fs;

use super::DAEMON;
use super::libvirt::{Libvirt, have};

/// libvirt 11.3 itself ends by a segmentation fault where it turns `<interface type='hostdev'>` into QEMU's
/// options. That it still does is not held here; that vgapt does not let it is.
#[test]
fn passed_network_functions_do_not_end_libvirtd() {
    if !have("the export of passed network functions", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let kind = if libvirt.kvm { "kvm" } else { "qemu" };
    let address =
        |slot: u8| format!("<source><address type='pci' domain='0x0000' bus='0x05' slot='0x{slot:02x}' function='0x0'/></source>");
    let function = |slot: u8, more: &str| {
        format!("<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:{slot:02x}'/>{more}{}</interface>", address(slot))
    };
    let cases = [
        ("alone", function(0x10, ""), 1),
        ("driver", function(0x10, "<driver name='vfio'/>"), 1),
        ("before", function(0x10, "") + "<interface type='user'><mac address='52:54:00:00:01:01'/></interface>", 1),
        ("behind", "<interface type='user'><mac address='52:54:00:00:01:01'/></interface>".to_owned() + &function(0x10, ""), 1),
        ("two", function(0x10, "") + &function(0x11, "<driver name='vfio'/>"), 2),
        ("card", function(0x10, "") + &format!("<hostdev mode='subsystem' type='pci' managed='yes'>{}</hostdev>", address(0)), 2),
    ];
    for (name, devices, functions) in cases {
        let file = libvirt.path("domain.xml");
        let xml = format!(
            "<domain type='{kind}'><name>{name}</name><memory unit='MiB'>512</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
            <features><acpi/></features><devices>{devices}</devices></domain>"
        );
        fs::write(&file, xml).unwrap();
        libvirt.virsh(&["define", &file]);
        // A use of freed memory does not end it each time.
        for _ in 0..3 {
            let told = libvirt.vgapt(&["export", name, "--to", "qemu"]).with(0).saying(&["note: ", "52:54:00:00:00:10"]);
            let passed = told.stdout.lines().filter(|line| line.contains("vfio-pci")).count();
            assert_eq!(passed, functions, "{name}:\n{}", told.stdout);
            assert!(told.stdout.contains("0000:05:10.0"), "{}", told.stdout);
        }
        assert!(libvirt.virsh(&["list", "--all", "--name"]).stdout.contains(name));
    }
}
