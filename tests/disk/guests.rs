//! What libguestfs does, on a file system of a guest.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Instant;

use super::command::{command, run};
use super::images::Images;
use super::killed::{TIMES, kill_one_way_or_the_other, moment, start};
use super::libvirt::have;

/// `guest.qcow2`: a partition with what makes libguestfs take it for a system, 20 MiB that nobody
/// uses any more, and 5 MiB that somebody does.
fn guest() -> Option<Images> {
    if !have("disk recipes inside guests", &["qemu-img", "qemu-io", "virt-sparsify", "virt-copy-in", "mkfs.ext4", "sfdisk", "truncate"]) {
        return None;
    }
    let images = Images::new(1);
    for directory in ["etc", "bin", "usr", "var", "home"] {
        fs::create_dir_all(images.path("tree").join(directory)).unwrap();
    }
    fs::write(images.path("tree/etc/fstab"), "/dev/sda1 / ext4 defaults 0 1\n").unwrap();
    fs::write(images.path("tree/etc/debian_version"), "13.0\n").unwrap();
    let noise: Vec<u8> = (0..5_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    fs::write(images.path("tree/home/kept"), &noise).unwrap();
    let script = "set -e; truncate -s 128M guest.raw; head -c 90M /dev/urandom | dd of=guest.raw bs=1M seek=20 conv=notrunc status=none
        echo 'start=1MiB' | sfdisk -q --label dos guest.raw; mkfs.ext4 -q -F -E nodiscard,offset=1048576 -d tree guest.raw 120M
        qemu-img convert -O qcow2 guest.raw guest.qcow2; rm -r guest.raw";
    assert!(Command::new("bash").args(["-c", script]).current_dir(images.directory.path()).status().unwrap().success());
    Some(images)
}

fn read_file(images: &Images, disk: &str, path: &str) -> Vec<u8> {
    let out = images.text("out");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).unwrap();
    run(command("guestfish").args(["--ro", "-a", &images.text(disk), "-i", "copy-out", path, &out])).with(0);
    fs::read(images.path("out").join(path.rsplit('/').next().unwrap())).unwrap()
}

#[test]
#[ignore = "libguestfs takes a minute where there is no KVM"]
fn compact_and_copy_in() {
    let Some(images) = guest() else { return };
    let before = images.hash("guest.qcow2");
    images.vgapt(&["compact", "guest.qcow2", "small.qcow2"]).with(0).saying(&["temporary files need up to 128 MiB", "instead of"]);
    assert_eq!(images.hash("guest.qcow2"), before);
    images.tool(&["qemu-img", "check", "-q", "small.qcow2"]);
    let size = |name: &str| fs::metadata(images.path(name)).unwrap().len();
    assert!(size("small.qcow2") < 20 << 20 && size("guest.qcow2") > 80 << 20, "{} {}", size("small.qcow2"), size("guest.qcow2"));
    assert_eq!(read_file(&images, "small.qcow2", "/home/kept"), read_file(&images, "guest.qcow2", "/home/kept"));

    fs::create_dir(images.path("pizza")).unwrap();
    fs::write(images.path("pizza/slice"), "hot").unwrap();
    images.vgapt(&["copy-in", "pizza", "guest.qcow2", "/home"]).with(0).saying(&["pizza was copied to /home of"]);
    assert_eq!(read_file(&images, "guest.qcow2", "/home/pizza/slice"), b"hot");
    images.tool(&["qemu-img", "check", "-q", "guest.qcow2"]);
    let after = images.hash("guest.qcow2");
    images.vgapt(&["copy-in", "pizza", "guest.qcow2", "/nosuch"]).with(3).saying(&["copying failed"]);
    assert_eq!(images.hash("guest.qcow2"), after);
    images.vgapt(&["copy-in", "pizza", "base.qcow2.diff", "/"]).with(3).saying(&["no operating system on the disk"]);
    let names = images.names();
    assert!(!names.iter().any(|name| name.contains("vgapt-") || name.contains("copied-in")), "{names:?}");
}

#[test]
#[ignore = "libguestfs takes half an hour where there is no KVM"]
fn killed_while_libguestfs_works() {
    let Some(images) = guest() else { return };
    let before = images.hash("guest.qcow2");
    let since = Instant::now();
    images.vgapt(&["compact", "guest.qcow2", "whole"]).with(0);
    let whole = since.elapsed();
    for round in 0..TIMES {
        let child = start(&images, &["compact", "guest.qcow2", "small"]);
        sleep(moment(round, whole));
        kill_one_way_or_the_other(round, child);
        if images.path("small").exists() {
            images.tool(&["qemu-img", "check", "-q", "small"]);
            fs::remove_file(images.path("small")).unwrap();
        }
        assert_eq!(images.hash("guest.qcow2"), before);
    }
    fs::create_dir(images.path("pizza")).unwrap();
    fs::write(images.path("pizza/slice"), "hot").unwrap();
    let since = Instant::now();
    images.vgapt(&["copy-in", "pizza", "guest.qcow2", "/home"]).with(0);
    let whole = since.elapsed();
    let mut before = images.hash("guest.qcow2");
    for round in 0..TIMES {
        fs::write(images.path("pizza/slice"), format!("number {round}")).unwrap();
        let child = start(&images, &["copy-in", "pizza", "guest.qcow2", "/home"]);
        sleep(moment(round, whole));
        kill_one_way_or_the_other(round, child);
        images.sound("guest.qcow2");
        if images.path("guest.qcow2.copied-in").exists() {
            images.vgapt(&["merge", "guest.qcow2", "m"]).with(1).saying(&["a copy into", "was interrupted in its last step"]);
        } else if images.hash("guest.qcow2") != before {
            assert_eq!(read_file(&images, "guest.qcow2", "/home/pizza/slice"), format!("number {round}").into_bytes());
        }
        if round % 4 == 3 {
            images.vgapt(&["copy-in", "pizza", "guest.qcow2", "/home"]).with(0);
            assert_eq!(read_file(&images, "guest.qcow2", "/home/pizza/slice"), format!("number {round}").into_bytes());
        }
        before = images.hash("guest.qcow2");
    }
    images.vgapt(&["copy-in", "pizza", "guest.qcow2", "/home"]).with(0);
    let names = images.names();
    assert!(!names.iter().any(|name| name.contains("vgapt-") || name.contains("copied-in")), "{names:?}");
}
