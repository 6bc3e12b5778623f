//! A domain is pointed at an overlay, and back.

use std::fs;

use super::images::Images;
use super::libvirt::{Libvirt, have};

#[test]
fn there_and_back() {
    if !have("disk swap", &["virsh", "qemu-system-x86_64", "qemu-img", "qemu-io"]) {
        return;
    }
    let images = Images::new(1);
    let libvirt = Libvirt::embedded();
    let (base, overlay) = (images.text("base.qcow2"), images.text("base.qcow2.diff"));
    let file = libvirt.path("domain.xml");
    fs::write(
        &file,
        format!(
            "<domain type='qemu'><name>win10</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
            <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback'/><source file='{base}'/><target dev='sda' bus='sata'/></disk>
            <disk type='file' device='cdrom'><source file='{base}'/><target dev='sdb' bus='sata'/><readonly/></disk></devices></domain>"
        ),
    )
    .unwrap();
    libvirt.virsh(&["define", &file]);
    let source = || libvirt.xml("win10").lines().find(|line| line.contains("<source file")).unwrap().trim().to_owned();

    libvirt.vgapt(&["disk", "swap", "win10", &overlay, "--dry-run"]).with(0).saying(&["+      <source file='", "dry run"]);
    assert_eq!(source(), format!("<source file='{base}'/>"));
    libvirt.vgapt(&["disk", "swap", "win10", &overlay]).with(0).saying(&[&format!("'win10' now uses {overlay} as sda")]);
    assert_eq!(source(), format!("<source file='{overlay}'/>"));
    assert!(libvirt.vgapt(&["disk", "info", &overlay]).with(0).stdout.contains("used by   win10 (shut off) as sda"));
    libvirt.vgapt(&["disk", "swap", "win10", &base]).with(0).saying(&["the changes since then stay in"]);
    assert_eq!(source(), format!("<source file='{base}'/>"));

    images.vgapt(&["create", "foreign.qcow2", "1G"]).with(0);
    libvirt
        .vgapt(&["disk", "swap", "win10", &images.text("foreign.qcow2")])
        .with(3)
        .saying(&["no disk of 'win10' is in the backing chain of"]);
    libvirt.vgapt(&["disk", "swap", "nosuch", &base]).with(3).saying(&["there is no domain 'nosuch'"]);
}
