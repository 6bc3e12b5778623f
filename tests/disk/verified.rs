//! The success of a tool is looked at before it is believed, and its death is told.

use super::images::Images;
use super::libvirt::have;
use super::recipes::TOOLS;

/// A qemu-img that does something else for one of its commands.
fn instead_of(images: &mut Images, command: &str, script: &str) {
    let real = "real() { /usr/bin/qemu-img \"$@\"; }";
    images.stand_in("qemu-img", &format!("{real}\nif [ \"$1\" = {command} ]; then\n{script}\nfi\nexec /usr/bin/qemu-img \"$@\""));
}

#[test]
fn a_copy_of_a_qemu_img_that_complains_and_ends_well() {
    if !have("verified copies", &TOOLS) {
        return;
    }
    let mut images = Images::new(1);
    let before = images.names();
    let broken = "real \"$@\"; qemu-io -f raw -c 'write -q -P 1 64k 64k' \"${@: -1}\"";
    let complains = "echo 'qemu-img: warning: error while reading at byte 65536' >&2; exit 0";
    instead_of(&mut images, "convert", &format!("{broken}; {complains}"));
    for format in ["raw", "vmdk"] {
        let ran = images.vgapt(&["merge", "base.qcow2.diff", "m", "--format", format]).with(3);
        ran.saying(&["error while reading at byte 65536", "the copy was discarded"]);
        assert_eq!(images.names(), before);
    }
    instead_of(&mut images, "convert", &format!("real \"$@\"; {complains}"));
    images.vgapt(&["merge", "base.qcow2.diff", "m"]).with(0).saying(&["qemu-img printed errors", "the copy is compared with the disk"]);
    images.same("m", "base.qcow2.diff");
    std::fs::remove_file(images.path("m")).unwrap();
    // Nothing, or too little, and no word.
    for script in ["exit 0", "real create -q -f qcow2 \"${@: -1}\" 1M; exit 0"] {
        instead_of(&mut images, "convert", script);
        images.vgapt(&["merge", "base.qcow2.diff", "m"]).with(3).saying(&["discarded"]);
    }
    instead_of(&mut images, "create", "real \"$@\"; echo 'qemu-img: odd' >&2; exit 0");
    images.vgapt(&["create", "new.qcow2", "1M"]).with(3).saying(&["cannot create", "it exited with code 0, but printed an error: odd"]);
    instead_of(&mut images, "commit", "real \"$@\"; echo 'qemu-img: odd' >&2; exit 0");
    images.vgapt(&["commit", "base.qcow2.diff"]).with(3).saying(&["qemu-img printed errors while it wrote", "odd", "qemu-img check"]);
    assert_eq!(images.names(), before);
}

#[test]
fn what_killed_a_tool_is_told() {
    if !have("verified copies", &TOOLS) {
        return;
    }
    let mut images = Images::new(1);
    let before = images.names();
    for (signal, name) in [("KILL", "killed by signal 9 (SIGKILL"), ("SEGV", "killed by signal 11 (SIGSEGV)")] {
        for (command, recipe) in [
            ("convert", &["merge", "base.qcow2.diff", "m"][..]),
            ("info", &["info", "base.qcow2.diff"]),
            ("measure", &["merge", "base.qcow2.diff", "m"]),
            ("create", &["create", "m", "1M"]),
            ("commit", &["commit", "base.qcow2.diff"]),
        ] {
            instead_of(&mut images, command, &format!("ulimit -c 0; kill -{signal} $$"));
            images.vgapt(recipe).with(3).saying(&[name]);
            assert_eq!(images.names(), before);
        }
    }
    instead_of(&mut images, "convert", "exit 7");
    images.vgapt(&["merge", "base.qcow2.diff", "m"]).with(3).saying(&["merging failed: it exited with code 7 without a message"]);
}

#[test]
fn what_libguestfs_leaves_is_looked_at() {
    if !have("verified copies", &TOOLS) {
        return;
    }
    let mut images = Images::new(1);
    std::fs::remove_file(images.path("base.qcow2.diff")).unwrap();
    std::fs::write(images.path("file"), "x").unwrap();
    let (names, before) = (images.names(), images.hash("base.qcow2"));
    for broken in [
        "head -c 100000 /dev/urandom > \"$3\"",
        "qemu-img create -q -f qcow2 \"$3\" 1M",
        "printf '\\xff%.0s' {1..200} | dd of=\"$3\" bs=1 seek=131072 conv=notrunc status=none",
    ] {
        images.stand_in("virt-copy-in", &format!("{broken}; exit 0"));
        images.vgapt(&["copy-in", "file", "base.qcow2", "/"]).with(3).saying(&["discarded"]);
        assert_eq!((images.names(), images.hash("base.qcow2")), (names.clone(), before));
    }
    images.stand_in("virt-sparsify", "echo odd >&2; qemu-img create -q -f qcow2 \"${@: -1}\" 1M");
    images.vgapt(&["compact", "base.qcow2", "small.qcow2"]).with(3).saying(&[
        "its size is 1 MiB instead of 2 MiB",
        "was discarded",
        "the tool printed: odd",
    ]);
    assert_eq!(images.names(), names);
    images.stand_in("virt-sparsify", "qemu-img convert -f qcow2 -O qcow2 \"${@: -2:1}\" \"${@: -1}\"");
    images.vgapt(&["compact", "base.qcow2", "small.qcow2"]).with(0).saying(&["was created in"]);
    images.same("base.qcow2", "small.qcow2");
    images.stand_in("virt-copy-in", "qemu-io -f qcow2 -c 'write -q -P 7 0 64k' \"$3\"");
    images.vgapt(&["copy-in", "file", "base.qcow2", "/"]).with(0).saying(&["searched for overlays of", "file was copied to / of"]);
    images.tool(&["qemu-io", "-r", "-f", "qcow2", "-c", "read -q -P 7 0 64k", "base.qcow2"]);
    assert_ne!(images.hash("base.qcow2"), before);
}
