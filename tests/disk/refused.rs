//! What would harm is refused, and nothing is touched.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::command::{Ran, run};
use super::images::Images;
use super::libvirt::{have, skip};
use super::recipes::TOOLS;

#[test]
fn a_target_that_exists_a_base_that_carries_others_and_one_that_is_shut() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let before = (images.hash("base.qcow2"), images.hash("base.qcow2.diff"));
    images.vgapt(&["overlay", "base.qcow2"]).with(1).saying(&["base.qcow2.diff already exists", "Nothing was changed"]);
    images.vgapt(&["merge", "base.qcow2.diff", "base.qcow2"]).with(1).saying(&["base.qcow2 already exists"]);
    images.vgapt(&["merge", "base.qcow2.diff", "nosuch/x"]).with(1).saying(&["nosuch does not exist"]);
    images.vgapt(&["merge", "nosuch", "x"]).with(3).saying(&["the disk nosuch does not exist"]);

    images.vgapt(&["overlay", "base.qcow2", "other.diff"]).with(0);
    images.vgapt(&["commit", "base.qcow2.diff"]).with(1).saying(&["has other overlays, which", "other.diff"]);
    fs::remove_file(images.path("other.diff")).unwrap();

    fs::set_permissions(images.path("base.qcow2"), PermissionsExt::from_mode(0o444)).unwrap();
    images.vgapt(&["commit", "base.qcow2.diff"]).with(1).saying(&["must not be written to", "chmod u+w"]);
    let json: serde_json::Value = serde_json::from_str(&images.vgapt(&["commit", "base.qcow2.diff", "--json"]).with(1).stdout).unwrap();
    assert_eq!((json["outcome"].as_str(), json["findings"][0]["code"].as_str()), (Some("refused"), Some("read-only")));
    assert_eq!((images.hash("base.qcow2"), images.hash("base.qcow2.diff")), before);
    assert_eq!(images.names(), ["base.qcow2", "base.qcow2.diff"]);
}

#[test]
fn a_disk_that_a_running_domain_has() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let node = images.text("node.xml");
    // The test driver runs the domains of its file.
    let domain = |overlay: &str| {
        format!(
            "<node><domain type='test'><name>win10</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>
            <driver name='qemu' type='qcow2'/><source file='{overlay}'/><target dev='sda'/></disk></devices></domain></node>"
        )
    };
    fs::write(&node, domain(&images.text("base.qcow2.diff"))).unwrap();
    let uri = format!("test://{node}");
    for arguments in [&["commit", "base.qcow2.diff"][..], &["merge", "base.qcow2.diff", "m"], &["overlay", "base.qcow2.diff"]] {
        let ran = images.vgapt(&[arguments, &["-c", &uri]].concat()).with(1);
        ran.saying(&["the domain 'win10' is running and uses", "as sda", "vgapt stop win10"]);
    }
    assert!(images.vgapt(&["info", "base.qcow2.diff", "-c", &uri]).with(0).stdout.contains("used by   win10 (running) as sda"));
    // An overlay that only libvirt knows of, in another directory.
    let elsewhere = Images::new(1);
    elsewhere.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &images.text("base.qcow2"), "far.diff"]);
    fs::write(&node, domain(&elsewhere.text("far.diff"))).unwrap();
    images.vgapt(&["commit", "base.qcow2.diff", "-c", &uri]).with(1).saying(&["has other overlays, which", "far.diff"]);
    // Also where the domain does not state its format.
    fs::write(&node, domain(&elsewhere.text("far.diff")).replace("<driver name='qemu' type='qcow2'/>", "")).unwrap();
    images.vgapt(&["commit", "base.qcow2.diff", "-c", &uri]).with(1).saying(&["has other overlays, which", "far.diff"]);
    // Without libvirt, QEMU's lock is left.
    images.vgapt(&["info", "base.qcow2", "-c", "test:///nosuch.xml"]).with(0).saying(&["libvirt cannot be asked"]);
}

#[test]
fn a_disk_that_another_process_has() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    let mut holder = Command::new("qemu-io");
    let mut holder = holder.arg(images.path("base.qcow2.diff")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap());
    let mut stdin = holder.stdin.take().unwrap();
    writeln!(stdin, "read 0 512").unwrap();
    said.read_line(&mut String::new()).unwrap();
    for arguments in [&["commit", "base.qcow2.diff"][..], &["merge", "base.qcow2.diff", "m"], &["overlay", "base.qcow2.diff"]] {
        images.vgapt(arguments).with(1).saying(&["another process has", "QEMU's lock is held"]);
    }
    assert!(images.vgapt(&["info", "base.qcow2.diff"]).with(0).stdout.contains("locked"));
    drop(stdin);
    holder.wait().unwrap();
    images.vgapt(&["commit", "base.qcow2.diff"]).with(0);
}

/// On a file system of its own.
fn on_small_disk(images: &Images, size: &str, options: &str, argv: &[&str]) -> Option<Ran> {
    let script = "mkdir -p small && mount -t tmpfs -o size=$0 small small && mount -o remount,$OPTIONS small && \"$@\"; code=$?; ls -A small >&2; exit $code";
    let mut command = super::command::command("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, size]).args(argv);
    let mut trial = super::command::command("unshare");
    if run(trial.args(["--map-root-user", "--mount", "true"])).code() != Some(0) {
        skip("a full file system", "no mount namespaces here");
        return None;
    }
    for (name, value) in images.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    Some(run(command.env("OPTIONS", options).current_dir(images.directory.path())))
}

#[test]
fn too_little_room() {
    if !have("disk refusals", &TOOLS) {
        return;
    }
    let mut images = Images::new(32);
    let vgapt = env!("CARGO_BIN_EXE_vgapt");
    let before = (images.hash("base.qcow2"), images.hash("base.qcow2.diff"));
    let merge = [vgapt, "disk", "merge", "base.qcow2.diff", "small/m.qcow2"];
    let Some(ran) = on_small_disk(&images, "16M", "rw", &merge) else { return };
    ran.with(1).saying(&["has 16 MiB free, but up to 48", "Nothing was changed"]);
    if let Some(ran) = on_small_disk(&images, "64M", "ro", &merge) {
        ran.with(1).saying(&["nothing can be created in", "mounted read-only"]);
    }
    // It fills up while it is written: the estimate is made wrong.
    images.stand_in(
        "qemu-img",
        "[ \"$1\" != measure ] || { echo '{\"required\": 1, \"fully-allocated\": 1}'; exit; }\nexec /usr/bin/qemu-img \"$@\"",
    );
    if let Some(ran) = on_small_disk(&images, "16M", "rw", &merge) {
        let ran = ran.with(3).saying(&["the file system is full", "remedy: free some space"]);
        assert!(!ran.stderr.contains("\nm.qcow2\n") && !ran.stderr.contains(".vgapt-"), "{}", ran.stderr);
    }
    assert_eq!((images.hash("base.qcow2"), images.hash("base.qcow2.diff")), before);
}

#[test]
fn what_is_no_disk_lacks_what_it_lies_on_or_is_encrypted() {
    if !have("disk recipes", &TOOLS) {
        return;
    }
    let images = Images::new(1);
    images.tool(&["mkfifo", "pipe"]);
    images.vgapt(&["info", "pipe"]).with(3).saying(&["is a pipe, not a disk", "name an image or a block device"]);
    images.vgapt(&["info", "/dev/null"]).with(3).saying(&["/dev/null is a character device"]);
    images.vgapt(&["overlay", "."]).with(3).saying(&["is a directory"]);
    let encrypted = ["--object", "secret,id=s,data=open", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"];
    images.tool(&[&["qemu-img", "create", "-q", "-f", "qcow2"], &encrypted[..], &["shut.qcow2", "4M"]].concat());
    assert!(images.vgapt(&["info", "shut.qcow2"]).with(0).stdout.contains("encrypted it can be read only with its key"));
    images.vgapt(&["merge", "shut.qcow2", "open.raw"]).with(3).saying(&["the image is encrypted", "--object secret"]);
    std::fs::rename(images.path("base.qcow2"), images.path("elsewhere.qcow2")).unwrap();
    for recipe in [&["info", "base.qcow2.diff"][..], &["merge", "base.qcow2.diff", "m"]] {
        images.vgapt(recipe).with(1).saying(&["base.qcow2.diff is missing", "base.qcow2", "qemu-img rebase -u"]);
    }
}
