//! `vgapt prepare` and `vgapt undo` where something is in the way: a clear error that names the place and the
//! remedy, and nothing changed; and hosts on which somebody else was at work in between.

#[path = "support/command.rs"]
mod command;
#[path = "support/edit.rs"]
mod edit;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of what cannot be tested is used here")]
mod libvirt;
#[path = "support/tree.rs"]
mod tree;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use command::{Ran, command, run, vgapt};
use edit::edit;
use libvirt::skip;
use tempfile::TempDir;
use tree::{Content, assert_same, differences, distribution, walk};

const GRUB: &str = "etc/default/grub";
const PREPARE: [&str; 4] = ["prepare", "--gpu", "01:00.0", "--yes"];

fn debian() -> TempDir {
    distribution("debian13-grub-initramfs-tools")
}

fn on(root: &Path, arguments: &[&str]) -> Ran {
    run(&mut vgapt([&["--root", &root.display().to_string()], arguments].concat()))
}

// --- What cannot be taken for a configuration ---

/// Refused before anything, with the path and what is wrong with it.
#[track_caller]
fn assert_left_alone(root: &Path, code: i32, words: &[&str]) {
    let before = walk(root);
    on(root, &PREPARE).with(code).saying(words).saying(&["remedy: "]);
    assert_same(&before, &walk(root), &format!("{words:?}"));
}

#[test]
fn what_is_no_text() {
    let root = debian();
    let root = root.path();
    let grub = root.join(GRUB);
    let whole = fs::read(&grub).unwrap();
    fs::write(&grub, [&whole[..], b"# caf\xe9\n"].concat()).unwrap();
    assert_left_alone(root, 1, &["/etc/default/grub", "not valid UTF-8"]);
    fs::write(&grub, "# long\n".repeat(10 << 17)).unwrap();
    assert_left_alone(root, 1, &["/etc/default/grub", "longer than 1024 KiB"]);
    fs::remove_file(&grub).unwrap();
    fs::create_dir(&grub).unwrap();
    assert_left_alone(root, 1, &["/etc/default/grub is a directory"]);
    fs::remove_dir(&grub).unwrap();
    symlink("grub.that.was", &grub).unwrap();
    assert_left_alone(root, 1, &["/etc/default/grub is a symbolic link to grub.that.was, which does not exist"]);
    fs::remove_file(&grub).unwrap();
    symlink("grub", &grub).unwrap();
    assert_left_alone(root, 1, &["/etc/default/grub"]);
    fs::remove_file(&grub).unwrap();
    assert!(Command::new("mkfifo").arg(&grub).status().unwrap().success());
    assert_left_alone(root, 3, &["etc/default/grub: it is not a regular file", "nothing was changed"]);
}

#[test]
fn in_the_place_of_new_files() {
    for path in ["etc/modprobe.d/vgapt.conf", "etc/initramfs-tools/hooks/vgapt"] {
        let root = debian();
        fs::create_dir(root.path().join(path)).unwrap();
        assert_left_alone(root.path(), 1, &[path, "is a directory"]);
    }
    let root = debian();
    fs::write(root.path().join("var/lib/vgapt"), "no directory").unwrap();
    assert_left_alone(root.path(), 3, &["cannot read", "var/lib/vgapt", "Not a directory"]);
    let root = debian();
    fs::remove_dir(root.path().join("etc/modprobe.d")).unwrap();
    fs::write(root.path().join("etc/modprobe.d"), "no directory").unwrap();
    assert_left_alone(root.path(), 3, &["etc/modprobe.d", "nothing was changed"]);
}

// --- Files that are unusual, and right ---

/// Prepared, with the parameter where a shell finds it, and taken back.
#[track_caller]
fn assert_prepared(root: &Path, what: &str) {
    let before = walk(root);
    on(root, &PREPARE).with(0);
    let script = ". \"$0\" 2>/dev/null; printf %s \"$GRUB_CMDLINE_LINUX\"";
    let said = Command::new("sh").args(["-c", script]).arg(root.join(GRUB)).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.split_whitespace().filter(|token| *token == "intel_iommu=on").count(), 1, "{what}: {said}");
    on(root, &PREPARE).with(0).saying(&["already up to date"]);
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), what);
}

#[test]
fn unusual_files() {
    let texts = ["", "\n", "GRUB_CMDLINE_LINUX=\"ro\""];
    for text in texts {
        let root = debian();
        fs::write(root.path().join(GRUB), text).unwrap();
        assert_prepared(root.path(), &format!("{text:?}"));
    }
    // A shell takes a CR for a letter of the value, and a byte order mark for one of the name.
    for (text, words) in [
        ("GRUB_CMDLINE_LINUX=\"ro\"\r\nGRUB_TIMEOUT=5\r\n", "line 1 ends as lines of Windows do (CR LF)"),
        ("\u{feff}GRUB_CMDLINE_LINUX=\"ro\"\n", "line 1 begins with a byte order mark"),
    ] {
        let root = debian();
        fs::write(root.path().join(GRUB), text).unwrap();
        let before = walk(root.path());
        on(root.path(), &PREPARE).with(1).saying(&[words, "nothing was changed"]);
        assert_same(&before, &walk(root.path()), text);
    }
}

#[test]
fn links_stay_links() {
    let root = debian();
    let root = root.path();
    fs::create_dir(root.join("data")).unwrap();
    fs::rename(root.join(GRUB), root.join("data/grub")).unwrap();
    symlink("/data/grub", root.join(GRUB)).unwrap();
    // An absolute link in a tree leads to a place in the tree, for new files too.
    fs::rename(root.join("etc/modprobe.d"), root.join("data/modprobe.d")).unwrap();
    symlink("/data/modprobe.d", root.join("etc/modprobe.d")).unwrap();
    let before = walk(root);
    on(root, &PREPARE).with(0);
    assert_eq!(walk(root)["/etc/default/grub"].content, Content::Link("/data/grub".into()));
    assert!(fs::read_to_string(root.join("data/grub")).unwrap().contains("intel_iommu=on"));
    assert!(root.join("data/modprobe.d/vgapt.conf").exists());
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "links");
}

// --- Nothing can be written ---

/// A shell's words in a mount namespace of its own, with the tree as `$1` and the program as `$0`; `None` where there is none.
fn in_own_mounts(what: &str, words: &str, arguments: &[&Path]) -> Option<Ran> {
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let can = Command::new("unshare").args(user).args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        skip(what, "no mount namespace can be had here");
        return None;
    }
    let mut unshare = command("unshare");
    unshare.args(user).args(["--mount", "sh", "-ec", words, env!("CARGO_BIN_EXE_vgapt")]).args(arguments);
    Some(run(&mut unshare))
}

#[test]
fn a_read_only_etc() {
    let words = "mount --bind $1/etc $1/etc; mount -o remount,ro,bind $1/etc; exec $0 --root $1 prepare --gpu 01:00.0 --yes";
    let root = debian();
    let before = walk(root.path());
    let Some(ran) = in_own_mounts("a read-only /etc", words, &[root.path()]) else { return };
    ran.with(3).saying(&[
        "cannot create the directory",
        "/etc/",
        "Read-only file system",
        "remedy: mount its file system writable",
        "all changes were rolled back; each file was compared",
    ]);
    assert_same(&before, &walk(root.path()), "read-only");
}

#[test]
fn somebody_who_may_not() {
    if !rustix::process::geteuid().is_root() {
        return skip("a tree of another user's", "only root can become another one");
    }
    let root = debian();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    // In a place that everybody can reach.
    let program = root.path().join("vgapt");
    fs::copy(env!("CARGO_BIN_EXE_vgapt"), &program).unwrap();
    let before = walk(root.path());
    let mut nobody = command("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg("--root").arg(root.path()).args(PREPARE);
    run(&mut nobody).with(3).saying(&["Permission denied", "remedy: run this as root"]);
    assert_same(&before, &walk(root.path()), "permission denied");
}

/// With each page less than it takes, nothing is changed.
#[test]
fn a_full_disk() {
    let words = "mount -t tmpfs -o nr_blocks=$(cat $2/pages) tmpfs $2/disk; cp -a $1/. $2/disk
        code=0; $0 --root $2/disk prepare --gpu 01:00.0 --yes || code=$?
        cp -a $2/disk/. $2/after; exit $code";
    let root = debian();
    // Else it is refused before anything, for want of room for a new one.
    fs::remove_file(root.path().join("boot/initrd.img-6.12.48+deb13-amd64")).unwrap();
    let before = walk(root.path());
    let pages = |content: &Content| if let Content::File(bytes) = content { bytes.len().div_ceil(4096) } else { 0 };
    let used: usize = before.values().map(|item| pages(&item.content)).sum();
    for (failed, free) in (0..60).step_by(2).enumerate() {
        let place = TempDir::new().unwrap();
        for name in ["disk", "after"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        fs::write(place.path().join("pages"), (used + free).to_string()).unwrap();
        let Some(ran) = in_own_mounts("a full disk", words, &[root.path(), place.path()]) else { return };
        let after = walk(&place.path().join("after"));
        let same = differences(&before, &after).iter().all(|line| line.starts_with("/: mode"));
        if !same {
            ran.with(0);
            assert!(failed > 3, "only {failed} disks were full");
            return;
        }
        let ran = ran.with(3).saying(&["No space left", "remedy: free space on its file system"]);
        let told = ["nothing was changed", "all changes were rolled back"];
        assert!(told.iter().any(|words| ran.stderr.contains(words)), "{}", ran.stderr);
    }
    panic!("it never fitted");
}

// --- Somebody else at work ---

#[test]
fn two_at_once() {
    let root = debian();
    let root = root.path();
    // Where no other user can hold it (tests/hook.rs).
    let held = vgapt::target::Target::open(root, false).unwrap().lock().unwrap();
    let before = walk(root);
    for arguments in [&PREPARE[..], &["undo", "--yes"]] {
        on(root, arguments).with(3).saying(&["another vgapt is changing", "remedy: wait until it has finished"]);
    }
    assert_same(&before, &walk(root), "held");
    on(root, &["prepare", "--gpu", "01:00.0", "--dry-run"]).with(0);
    drop(held);
    on(root, &PREPARE).with(0);
}

#[test]
fn edited_in_between() {
    let root = debian();
    let root = root.path();
    let before = walk(root);
    on(root, &PREPARE).with(0);
    edit(root, GRUB, |text| text.replace("GRUB_TIMEOUT=5", "GRUB_TIMEOUT=1") + "GRUB_BACKGROUND=/x.png\n");
    let edited = walk(root);
    on(root, &["undo", "--yes"]).with(1).saying(&["/etc/default/grub was edited since", "-GRUB_TIMEOUT=5", "+GRUB_TIMEOUT=1", "--force"]);
    assert_same(&edited, &walk(root), "refused");
    on(root, &["undo", "--yes", "--force"]).with(0);
    assert_eq!(differences(&before, &walk(root)), ["/etc/default/grub is another one"]);
    let text = fs::read_to_string(root.join(GRUB)).unwrap();
    assert!(
        text.contains("GRUB_TIMEOUT=1\n") && text.contains("GRUB_CMDLINE_LINUX=\"\"\n") && text.ends_with("GRUB_BACKGROUND=/x.png\n"),
        "{text}"
    );
    on(root, &["undo", "--yes"]).with(0).saying(&["nothing to undo"]);
}

/// The line above ours is the one that people edit most.
#[test]
fn edited_right_beside() {
    let root = debian();
    let root = root.path();
    on(root, &PREPARE).with(0);
    edit(root, GRUB, |text| text.replace("LINUX_DEFAULT=\"quiet\"", "LINUX_DEFAULT=\"quiet splash\""));
    on(root, &["undo", "--yes"]).with(1);
    on(root, &["undo", "--yes", "--force"]).with(0);
    let text = fs::read_to_string(root.join(GRUB)).unwrap();
    assert!(text.contains("LINUX_DEFAULT=\"quiet splash\"\nGRUB_CMDLINE_LINUX=\"\"\n"), "{text}");
}

/// The line that vgapt wrote into is the one that people add their next parameter to.
#[test]
fn edited_in_the_same_line() {
    for (edited, back) in [
        ("GRUB_CMDLINE_LINUX=\"intel_iommu=on mem=4G\"", "GRUB_CMDLINE_LINUX=\"mem=4G\""),
        ("GRUB_CMDLINE_LINUX=\"mem=4G intel_iommu=on quiet\" # mine", "GRUB_CMDLINE_LINUX=\"mem=4G quiet\" # mine"),
        // Taken out by hand: there is nothing left to take back in this file.
        ("GRUB_CMDLINE_LINUX=\"mem=4G\"", "GRUB_CMDLINE_LINUX=\"mem=4G\""),
    ] {
        let root = debian();
        let root = root.path();
        let before = walk(root);
        on(root, &PREPARE).with(0);
        edit(root, GRUB, |text| text.replace("GRUB_CMDLINE_LINUX=\"intel_iommu=on\"", edited));
        let then = walk(root);
        on(root, &["undo", "--yes"]).with(1).saying(&["/etc/default/grub was edited since", "mem=4G", "--force keeps these edits"]);
        assert_same(&then, &walk(root), "the same line");
        on(root, &["undo", "--yes", "--force"]).with(0);
        assert_eq!(differences(&before, &walk(root)), ["/etc/default/grub is another one"]);
        assert!(fs::read_to_string(root.join(GRUB)).unwrap().contains(&format!("{back}\n")), "{edited}");
        on(root, &["undo", "--yes"]).with(0).saying(&["nothing to undo"]);
    }
}

/// A file of vgapt's own that somebody rewrote is left alone and named, and holds back no other file.
#[test]
fn edited_so_that_it_cannot_be_told_apart() {
    let root = debian();
    let root = root.path();
    let before = walk(root);
    on(root, &PREPARE).with(0);
    edit(root, "etc/modprobe.d/vgapt.conf", |text| text.replace("softdep nouveau pre: vfio-pci", "softdep nouveau pre: vfio-pci snd"));
    let says = ["/etc/modprobe.d/vgapt.conf was edited since; it cannot be told", "leaves /etc/modprobe.d/vgapt.conf unchanged"];
    on(root, &["undo", "--yes"]).with(1).saying(&says);
    on(root, &["undo", "--yes", "--force"]).with(1).saying(&["/etc/modprobe.d/vgapt.conf is left unchanged", "manually"]);
    let on_the_host: Vec<String> = differences(&before, &walk(root)).into_iter().filter(|one| !one.starts_with("/var/lib/vgapt")).collect();
    assert_eq!(on_the_host, ["/etc/modprobe.d/vgapt.conf is new"]);
    on(root, &["undo", "--yes"]).with(1).saying(&["leaves /etc/modprobe.d/vgapt.conf unchanged"]);
    edit(root, "etc/modprobe.d/vgapt.conf", |_| "# mine\n".to_owned());
    on(root, &["undo", "--yes", "--force"]).with(0);
    assert_eq!(differences(&before, &walk(root)), ["/etc/modprobe.d/vgapt.conf is new"]);
    on(root, &["undo", "--yes"]).with(0).saying(&["nothing to undo"]);
}

/// The file runs the script that binds by address: without it vfio-pci could not be loaded at all.
#[test]
fn what_a_file_that_is_left_runs_is_left_too() {
    let root = debian();
    let root = root.path();
    let before = walk(root);
    on(root, &["prepare", "--pci", "00:1f.3", "--yes"]).with(0);
    let conf = "etc/modprobe.d/vgapt.conf";
    edit(root, conf, |text| text.replace("softdep snd_hda_intel pre: vfio-pci", "softdep snd_hda_intel pre: vfio-pci snd"));
    let script = fs::read_to_string(root.join(conf)).unwrap().contains("/etc/vgapt/bind");
    on(root, &["undo", "--yes", "--force"]).with(1).saying(&["/etc/modprobe.d/vgapt.conf"]);
    assert_eq!(root.join("etc/vgapt/bind").exists(), script);
    fs::remove_file(root.join(conf)).unwrap();
    on(root, &["undo", "--yes", "--force"]).with(0);
    assert_same(&before, &walk(root), "nothing is left");
}

#[test]
fn several_times_then_once_back() {
    let root = debian();
    let root = root.path();
    let before = walk(root);
    on(root, &PREPARE).with(0);
    on(root, &["prepare", "--hugepages", "4G", "--yes"]).with(0);
    on(root, &["prepare", "--pci", "00:1f.3", "--hugepages", "8G", "--page-size", "1G", "--yes"]).with(0);
    on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"]).with(0);
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "four times");
}

#[test]
fn modes_that_somebody_changed_stay() {
    let root = debian();
    let root = root.path();
    on(root, &PREPARE).with(0);
    fs::set_permissions(root.join(GRUB), Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(root.join(GRUB)).unwrap();
    on(root, &["undo", "--yes"]).with(0);
    assert_eq!(walk(root)["/etc/default/grub"].mode & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(root.join(GRUB)).unwrap(), text.replace("intel_iommu=on", ""));
}

#[test]
fn files_that_somebody_removed() {
    let root = debian();
    let root = root.path();
    let mut before = walk(root);
    on(root, &PREPARE).with(0);
    // Ours is gone already, and that is how it was.
    fs::remove_file(root.join("etc/modprobe.d/vgapt.conf")).unwrap();
    fs::remove_file(root.join(GRUB)).unwrap();
    on(root, &["undo", "--yes"]).with(1).saying(&["/etc/default/grub was edited since"]);
    on(root, &["undo", "--yes", "--force"]).with(0);
    before.remove("/etc/default/grub");
    assert_same(&before, &walk(root), "what was removed stays so");
}

#[test]
fn our_change_taken_out_by_hand() {
    let root = debian();
    let root = root.path();
    on(root, &PREPARE).with(0);
    // There is something to do again, and it all comes back.
    edit(root, GRUB, |text| text.replace("intel_iommu=on", ""));
    on(root, &PREPARE).with(0);
    on(root, &["undo", "--yes"]).with(0);
    assert!(fs::read_to_string(root.join(GRUB)).unwrap().contains("GRUB_CMDLINE_LINUX=\"\""));
}
