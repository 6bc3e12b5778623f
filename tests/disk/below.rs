//! All that an image lies on or has its data in is found, and nothing that its header names is opened unasked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use vgapt::disk::{Location, locate, names_in, parse_image};
use vgapt::model::{Reading, Role};

use super::images::Images;
use super::libvirt::{have, skip};
use super::recipes::TOOLS;
use super::unknown::node;

/// A raw base of ones, and an overlay of it that holds something else.
fn raw_base() -> Images {
    let images = Images::new(1);
    for name in ["base.qcow2.diff", "base.qcow2"] {
        fs::remove_file(images.path(name)).unwrap();
    }
    fs::write(images.path("base.img"), vec![1; 1 << 20]).unwrap();
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", &images.text("base.img"), "own.diff"]);
    images.tool(&["qemu-io", "-c", "write -q -P 7 0 64k", "own.diff"]);
    images
}

fn description(extent: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\nRW 2048 FLAT \"{extent}\" 0\n\n\
         ddb.adapterType = \"ide\"\nddb.geometry.cylinders = \"2\"\nddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.virtualHWVersion = \"4\"\n"
    )
}

/// What is read of headers is what qemu-img says of them.
#[test]
fn headers_as_qemu_reads_them() {
    if !have("disk headers", &TOOLS) {
        return;
    }
    let images = raw_base();
    let base = images.text("base.img");
    images.tool(&["qemu-img", "create", "-q", "-f", "vmdk", "base.vmdk", "1M"]);
    let made: [(&str, &str, &[&str]); 14] = [
        ("plain", "qcow2", &[]),
        ("two", "qcow2", &["-o", "compat=0.10", "-F", "raw", "-b", &base]),
        ("three", "qcow2", &["-F", "raw", "-b", "base.img"]),
        ("large", "qcow2", &["-o", "cluster_size=2M", "-F", "raw", "-b", "base.img"]),
        ("data", "qcow2", &["-o", "data_file=data.raw,data_file_raw=on"]),
        ("both", "qcow2", &["-o", "data_file=both.raw", "-F", "raw", "-b", &base]),
        ("old", "qcow", &["-F", "raw", "-b", &base]),
        ("qed", "qed", &["-F", "raw", "-b", &base]),
        ("unsaid", "qed", &["-F", "qcow2", "-b", "plain"]),
        ("alone.vmdk", "vmdk", &[]),
        ("over.vmdk", "vmdk", &["-F", "vmdk", "-b", "base.vmdk"]),
        ("flat.vmdk", "vmdk", &["-o", "subformat=monolithicFlat"]),
        ("split.vmdk", "vmdk", &["-o", "subformat=twoGbMaxExtentSparse", "-F", "vmdk", "-b", "base.vmdk"]),
        ("vhdx", "vhdx", &[]),
    ];
    for (name, format, options) in made {
        images.tool(&[&["qemu-img", "create", "-q", "-f", format], options, &[name, "1M"]].concat());
        let said = parse_image(&images.tool(&["qemu-img", "info", "--output=json", "-f", format, name]).stdout).unwrap();
        let Reading::Known(names) = names_in(&images.path(name), format) else { panic!("{name}") };
        let path = |name: &str| match locate(name, images.directory.path()) {
            Location::File(path) => path.display().to_string(),
            Location::Other(name) => name,
        };
        let backing = names.iter().find(|named| named.role == Role::Backing);
        assert_eq!(backing.map(|named| path(&named.name)), said.backing.as_deref().map(path), "{name}: {said:?}");
        assert_eq!(backing.and_then(|named| named.format.clone()), said.backing_format, "{name}: {said:?}");
        let data: BTreeSet<String> = names.iter().filter(|named| named.role == Role::Data).map(|named| path(&named.name)).collect();
        assert_eq!(data, said.data_files.iter().map(|name| path(name)).collect(), "{name}: {said:?}");
    }
}

#[test]
fn a_base_that_holds_the_data_of_another() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    for format in ["qcow2", "vmdk"] {
        let images = raw_base();
        let before = images.hash("base.img");
        if format == "vmdk" {
            fs::write(images.path("other"), description("base.img")).unwrap();
        } else {
            let data = ["-o", "data_file=base.img,data_file_raw=on,preallocation=metadata"];
            images.tool(&[&["qemu-img", "create", "-q", "-f", "qcow2"], &data[..], &["other", "1M"]].concat());
            fs::write(images.path("base.img"), vec![1; 1 << 20]).unwrap();
        }
        let commit = ["commit", "own.diff"];
        images.vgapt(&commit).with(1).saying(&["has other overlays, which", "other"]);
        // Below an overlay that only a domain names.
        let elsewhere = Images::new(1);
        fs::rename(images.path("other"), elsewhere.path("other")).unwrap();
        std::os::unix::fs::symlink(images.path("base.img"), elsewhere.path("base.img")).unwrap();
        elsewhere.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", "other", "upper.diff"]);
        let uri = node(&images, &[(&elsewhere.text("upper.diff"), "qcow2")], "");
        images.vgapt(&[&commit[..], &["-c", &uri]].concat()).with(1).saying(&["has other overlays, which", "other"]);
        assert_eq!(images.hash("base.img"), before);
        // What goes down into an image goes into the file with its data.
        fs::remove_file(images.path("own.diff")).unwrap();
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.img", "beside.diff"]);
        let commit =
            ["commit", &elsewhere.text("upper.diff"), "--trust-backing", "--search", &images.directory.path().display().to_string()];
        images.vgapt(&commit).with(1).saying(&["has other overlays, which", "beside.diff"]);
        assert_eq!(images.hash("base.img"), before);
    }
}

#[test]
fn a_base_within_options_of_qemu() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = raw_base();
    let before = images.hash("base.img");
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "mid.qcow2", "1M"]);
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data.raw,data_file_raw=on", "split.qcow2", "1M"]);
    let (base, mid, split) = (images.text("base.img"), images.text("mid.qcow2"), images.text("split.qcow2"));
    let file = |path: &str| format!("{{\"driver\":\"file\",\"filename\":\"{path}\"}}");
    let names = [
        format!("json:{{\"driver\":\"qcow2\",\"file\":{},\"backing\":{{\"driver\":\"raw\",\"file\":{}}}}}", file(&mid), file(&base)),
        format!(
            "json:{{\"driver\":\"qcow2\",\"file.driver\":\"file\",\"file.filename\":\"{mid}\",\"backing.driver\":\"raw\",\"backing.file.driver\":\"file\",\"backing.file.filename\":\"{base}\"}}"
        ),
        format!("json:{{\"driver\":\"qcow2\",\"file\":{},\"data-file\":{}}}", file(&split), file(&base)),
    ];
    for name in &names {
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-u", "-b", name, "other.diff", "1M"]);
        images.vgapt(&["commit", "own.diff"]).with(1).saying(&["has other overlays, which", "other.diff"]);
        // What such options open is not all judged: it is not followed.
        images.vgapt(&["merge", "other.diff", "m.raw"]).with(1).saying(&["outside the disk's own folder"]);
        images.vgapt(&["merge", "other.diff", "m.raw", "--trust-backing"]).with(1).saying(&["which vgapt does not support"]);
        fs::remove_file(images.path("other.diff")).unwrap();
    }
    // QEMU takes single quotes, too; what is not understood may be the base.
    images.tool(&[
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-u",
        "-b",
        &format!("json:{{'filename':'{base}'}}"),
        "other.diff",
        "1M",
    ]);
    images.vgapt(&["commit", "own.diff"]).with(1).saying(&["has other overlays: ", "which vgapt does not support"]);
    assert_eq!(images.hash("base.img"), before);
}

/// Two nodes of one device, and the file that it is.
#[test]
fn a_base_under_another_node() {
    if !have("disk refusals", &["losetup", "mknod", "qemu-img", "qemu-io"]) {
        return;
    }
    let images = raw_base();
    let losetup = super::command::run(super::command::command("losetup").args(["-f", "--show", &images.text("base.img")]));
    let device = losetup.stdout.trim().to_owned();
    let Some(minor) = device.strip_prefix("/dev/loop").filter(|_| losetup.code() == Some(0)) else {
        skip("block devices", "no loop device can be had");
        return;
    };
    let elsewhere = Images::new(1);
    let search = ["--trust-backing", "--search", &elsewhere.directory.path().display().to_string()];
    let mut told = Vec::new();
    if super::command::run(super::command::command("mknod").args([&elsewhere.text("node"), "b", "7", minor])).code() == Some(0) {
        for (own, other) in [(device.as_str(), "node"), (&images.text("base.img"), "node"), (&device, &images.text("base.img"))] {
            images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", own, "own.diff", "1M"]);
            elsewhere.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", other, "other.diff", "1M"]);
            told.push(images.vgapt(&[&["commit", "own.diff"], &search[..]].concat()));
        }
    }
    super::command::run(super::command::command("losetup").args(["-d", &device])).with(0);
    for ran in told {
        ran.with(1).saying(&["has other overlays, which", "other.diff"]);
    }
}

#[test]
fn a_base_that_its_overlay_calls_raw() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    let images = raw_base();
    fs::write(images.path("secret"), vec![b's'; 1 << 20]).unwrap();
    // As the guest of a raw disk writes it; the ending says the same as the guest.
    for name in ["disk", "disk.qcow2"] {
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "secret", name]);
        fs::File::options().write(true).open(images.path(name)).unwrap().set_len(2 << 20).unwrap();
        let elsewhere = Images::new(1);
        elsewhere.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", &images.text(name), "over.diff"]);
        elsewhere.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "over.diff", "upper.diff"]);
        let uri = node(&images, &[(&elsewhere.text("upper.diff"), "qcow2")], "");
        for recipe in [&["merge", name, "m.raw"][..], &["overlay", name, "o.diff"], &["compact", name, "c.qcow2"], &["info", name]] {
            let ran = images.vgapt(&[recipe, &["-c", &uri]].concat()).with(1);
            ran.saying(&["is raw according to the header of", "over.diff", "looks like qcow2"]);
        }
        // Beside it, whoever uses it.
        fs::rename(elsewhere.path("over.diff"), images.path("over.diff")).unwrap();
        images.vgapt(&["merge", name, "m.raw"]).with(1).saying(&["is raw according to the header of", "over.diff"]);
        fs::remove_file(images.path("over.diff")).unwrap();
        images.vgapt(&["merge", name, "m.raw"]).with(0);
        fs::remove_file(images.path("m.raw")).unwrap();
    }
}

/// What the guest of a raw disk writes into it names nothing that the disk has its data in.
#[test]
fn a_raw_base_that_looks_like_another_format() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    let images = raw_base();
    fs::remove_file(images.path("own.diff")).unwrap();
    let data = "data_file=data.raw,data_file_raw=on";
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-o", data, "base.img", "1M"]);
    fs::File::options().write(true).open(images.path("base.img")).unwrap().set_len(1 << 20).unwrap();
    for (base, overlay) in [("base.img", "own.diff"), ("data.raw", "of-data.diff")] {
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay]);
    }
    images.vgapt(&["commit", "own.diff"]).with(0);
}

/// The program that opens what an image names is started when it is known what that is.
#[test]
fn nothing_that_a_header_names_is_opened_unasked() {
    if !have("hostile disks", &TOOLS) {
        return;
    }
    let (mut images, host) = (Images::new(1), Images::new(1));
    fs::write(host.path("data"), vec![1; 1 << 20]).unwrap();
    images.stand_in("qemu-img", "echo \"$@\" >>asked; exec /usr/bin/qemu-img \"$@\"");
    let asked = |images: &Images| fs::read_to_string(images.path("asked")).unwrap_or_default();
    let data = format!("data_file={},data_file_raw=on", host.text("data"));
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-o", &data, "far.qcow2", "1M"]);
    fs::write(images.path("far.vmdk"), description(&host.text("data"))).unwrap();
    // A part that is a description in its turn.
    let part = |part: &str| {
        [&b"KDMV\x01\0\0\0\0\0\0\0"[..], &[0; 16], &[1, 0], &[0; 482], format!("RW 1 FLAT \"{part}\" 0\n").as_bytes()].concat()
    };
    fs::write(images.path("part"), [part(&host.text("data")), vec![0; 1024]].concat()).unwrap();
    fs::write(images.path("nested.vmdk"), description("part").replace("FLAT \"part\" 0", "SPARSE \"part\"")).unwrap();
    images.tool(&["mkfifo", "pipe"]);
    fs::write(images.path("pipe.vmdk"), description("pipe")).unwrap();
    let refused = [("far.qcow2", "outside"), ("far.vmdk", "outside"), ("nested.vmdk", "itself refers to"), ("pipe.vmdk", "is a pipe")];
    let started = Instant::now();
    for (name, words) in refused {
        for recipe in [&["info", name][..], &["merge", name, "m.raw"], &["overlay", name, "o.diff"]] {
            images.vgapt(recipe).with(1).saying(&[words]);
        }
        assert!(!asked(&images).contains(name), "{name}: {}", asked(&images));
        // As a neighbour of another disk.
        images.vgapt(&["info", "base.qcow2"]).with(0);
        assert!(!asked(&images).contains(name), "{name}: {}", asked(&images));
    }
    // Below another image.
    images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "vmdk", "-u", "-b", "pipe.vmdk", "top.qcow2", "1M"]);
    images.vgapt(&["info", "top.qcow2"]).with(1).saying(&["is a pipe"]);
    assert!(started.elapsed() < Duration::from_secs(50));
    for format in ["blkdebug", "vvfat"] {
        images
            .vgapt(&["info", "base.qcow2", "--format", format])
            .with(1)
            .saying(&[&format!("makes QEMU open are unknown: its format is {format}")]);
    }
    assert!(Path::new(&images.text("asked")).exists() && !asked(&images).contains("pipe.vmdk"));
    // With the word it is.
    images.vgapt(&["info", "far.qcow2", "--trust-backing"]).with(0);
}
