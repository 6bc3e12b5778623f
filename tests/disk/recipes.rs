//! Each recipe does what it says.

use std::fs;

use super::images::Images;
use super::libvirt::have;

pub(crate) const TOOLS: [&str; 2] = ["qemu-img", "qemu-io"];

#[test]
fn an_overlay_a_merged_copy_and_a_commit() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(16);
    let (base, overlay) = (images.hash("base.qcow2"), images.hash("base.qcow2.diff"));
    for (new, format) in [("m.qcow2", "qcow2"), ("m.raw", "raw"), ("m.vmdk", "vmdk"), ("m.vdi", "vdi"), ("m.vhdx", "vhdx")] {
        images.vgapt(&["merge", "base.qcow2.diff", new, "--format", format]).with(0).saying(&["needs up to", "was created in"]);
        images.same(new, "base.qcow2.diff");
        let info = images.tool(&["qemu-img", "info", new]).stdout;
        assert!(info.contains(&format!("file format: {format}")) && !info.contains("backing file:"), "{info}");
    }
    assert!(fs::read(images.path("m.vmdk")).unwrap().windows(6).any(|window| window == b"m.vmdk"), "a VMDK knows its name");
    assert_eq!((base, overlay), (images.hash("base.qcow2"), images.hash("base.qcow2.diff")));

    images.vgapt(&["commit", "base.qcow2.diff"]).with(0).saying(&["is empty, and can still be used"]);
    for name in ["base.qcow2", "base.qcow2.diff"] {
        images.same("m.qcow2", name);
        images.tool(&["qemu-img", "check", "-q", name]);
    }
    images.vgapt(&["commit", "m.qcow2"]).with(1).saying(&["has no backing file", "vgapt disk info"]);
    assert_eq!(images.names(), ["base.qcow2", "base.qcow2.diff", "m.qcow2", "m.raw", "m.vdi", "m.vhdx", "m.vmdk"]);
}

#[test]
fn what_lies_on_what() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let told = images.vgapt(&["info", "base.qcow2.diff"]).with(0).stdout;
    assert!(told.contains("base.qcow2.diff\n  format    qcow2\n  size      2 MiB, uses"), "{told}");
    assert!(told.contains(&format!("  backed by {}\n    format    qcow2", images.text("base.qcow2"))), "{told}");
    assert!(images.vgapt(&["info", "base.qcow2"]).with(0).stdout.contains("  overlay   "));
    let json: serde_json::Value = serde_json::from_str(&images.vgapt(&["info", "--json", "base.qcow2.diff"]).with(0).stdout).unwrap();
    assert_eq!(json["chain"][0]["backing"], images.text("base.qcow2"));
    assert_eq!(
        (json["chain"][0]["backing_format"].as_str(), json["chain"][1]["used_by"].as_array().map(Vec::len)),
        (Some("qcow2"), Some(0))
    );
    assert_eq!(json["locked"], false);
}

#[test]
fn an_empty_disk() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    images.vgapt(&["create", "new.qcow2", "3G"]).with(0).saying(&["new.qcow2 was created: qcow2, 3 GiB"]);
    assert!(images.tool(&["qemu-img", "info", "new.qcow2"]).stdout.contains("3 GiB (3221225472 bytes)"));
    images.vgapt(&["create", "other.qcow2", "3"]).with(2).saying(&["add a unit"]);
    images.vgapt(&["create", "other.qcow2", "3G", "--format", "nosuch"]).with(3).saying(&["nosuch"]);
    assert_eq!(images.names(), ["base.qcow2", "base.qcow2.diff", "new.qcow2"]);
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let images = Images::new(1);
    let mut command = images.command(&["create", "x.qcow2", "1G", "--root", super::command::Z170]);
    let empty = images.path("empty");
    fs::create_dir(&empty).unwrap();
    let timeout = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|place| place.join("timeout")).find(|place| place.exists());
    std::os::unix::fs::symlink(timeout.unwrap(), empty.join("timeout")).unwrap();
    let ran = super::command::run(command.env("PATH", &empty));
    ran.with(3).saying(&["qemu-img is not installed", "remedy: install it: apt install qemu-utils"]);
}

#[test]
fn the_ending_says_the_format() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let format = |name: &str| {
        let said = images.tool(&["qemu-img", "info", "--output=json", name]).stdout;
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["format"].as_str().unwrap().to_owned()
    };
    for (name, wanted) in [("a.vmdk", "vmdk"), ("a.vdi", "vdi"), ("a.vhdx", "vhdx"), ("a.raw", "raw"), ("a.img", "raw"), ("a", "qcow2")] {
        images.vgapt(&["create", name, "8M"]).with(0).saying(&[&format!("{name} was created: {wanted}")]);
        assert_eq!(format(name), wanted, "{name}");
    }
    images.vgapt(&["create", "b.vdi", "8M", "--format", "qcow2"]).with(0);
    assert_eq!(format("b.vdi"), "qcow2");
    for (name, wanted) in [("m.vdi", "vdi"), ("m.vmdk", "vmdk"), ("m.raw", "raw"), ("m", "qcow2")] {
        images.vgapt(&["merge", "base.qcow2.diff", name]).with(0);
        assert_eq!(format(name), wanted, "{name}");
        images.same("base.qcow2.diff", name);
    }
}

#[test]
fn snapshots_in_an_image_are_told_and_not_ruined() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    images.tool(&["qemu-img", "snapshot", "-c", "clean", "base.qcow2"]);
    assert!(images.vgapt(&["info", "base.qcow2.diff"]).with(0).stdout.contains("snapshots clean"));
    images.vgapt(&["merge", "base.qcow2.diff", "copy.qcow2"]).with(0).saying(&["the snapshots in", "(clean) are not copied"]);
    images.tool(&["qemu-img", "snapshot", "-c", "later", "base.qcow2.diff"]);
    let before = (images.hash("base.qcow2"), images.hash("base.qcow2.diff"));
    images.vgapt(&["commit", "base.qcow2.diff"]).with(1).saying(&["contains snapshots (later)", "vgapt disk merge", "Nothing was changed"]);
    assert_eq!((images.hash("base.qcow2"), images.hash("base.qcow2.diff")), before);
    images.tool(&["qemu-img", "snapshot", "-d", "later", "base.qcow2.diff"]);
    images.vgapt(&["commit", "base.qcow2.diff"]).with(0).saying(&["(clean) stay; they do not contain what is committed now"]);
    images.same("base.qcow2", "copy.qcow2");
}
