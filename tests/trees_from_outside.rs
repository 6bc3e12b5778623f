//! A tree that somebody else has made: whatever its links, its receipts and its names say, nothing outside of it is
//! written, and nothing in it gets more rights than it had.

#[path = "support/command.rs"]
mod command;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of what cannot be tested is used here")]
mod libvirt;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "the machines of fixtures/distributions are not used here")]
mod tree;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use command::{Ran, run, vgapt};
use libvirt::{have, skip};
use rustix::fs::{CWD, RenameFlags, XattrFlags, getxattr, renameat_with, setxattr};
use tempfile::TempDir;
use tree::{Content, assert_same, walk};
use vgapt::host::{self, Plan, Which, Write};
use vgapt::target::Target;

/// A tree as vgapt 0.1.0 left it, whose receipts said nothing of their format.
const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/receipts/format-1");
/// A tree after two runs of a vgapt whose receipts did not say why, and its files before them.
const FORMAT_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/receipts/format-2");
const BEFORE_FORMAT_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/receipts/format-2.before");
const RECEIPT: &str = "var/lib/vgapt/1/receipt.json";

fn on(root: &Path, arguments: &[&str]) -> Ran {
    run(&mut vgapt([&["--root", &root.display().to_string()], arguments].concat()))
}

fn put(root: &Path, path: &str, text: &str) -> PathBuf {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, text).unwrap();
    place
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A tree of fixtures/receipts as its user's own, with its receipts changed.
fn of_format(tree: &str, change: impl Fn(String) -> String) -> TempDir {
    let place = TempDir::new().unwrap();
    copy(Path::new(tree), place.path());
    let status = fs::metadata(place.path()).unwrap();
    put(place.path(), "proc/meminfo", "MemTotal:       16777216 kB\n");
    let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    for (path, item) in walk(place.path()) {
        let is_program = path.ends_with("/bind") || path.contains("/hooks/");
        match item.content {
            Content::File(_) => set_mode(&place.path().join(&path[1..]), if is_program { 0o755 } else { 0o644 }),
            _ => set_mode(&place.path().join(&path[1..]), 0o755),
        }
    }
    let store = place.path().join("var/lib/vgapt");
    set_mode(&store, 0o700);
    for directory in fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()) {
        set_mode(&directory, 0o700);
        for file in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            set_mode(&file, 0o600);
        }
        let receipt = directory.join("receipt.json");
        let text = fs::read_to_string(&receipt).unwrap();
        let (uid, gid) = (format!("\"uid\": {}", status.uid()), format!("\"gid\": {}", status.gid()));
        fs::write(&receipt, change(text.replace("\"uid\": 0", &uid).replace("\"gid\": 0", &gid))).unwrap();
    }
    place
}

fn of_format_1(change: impl Fn(String) -> String) -> TempDir {
    of_format(FORMAT_1, change)
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

// --- Receipts ---

#[test]
fn receipts_of_the_first_format_are_taken_back() {
    let root = of_format_1(|text| text);
    on(root.path(), &["undo", "--yes"]).with(0);
    assert_eq!(read(root.path(), "etc/default/grub"), "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX=\"\"\n");
    assert_eq!(read(root.path(), "etc/fstab"), "UUID=1 / ext4 defaults 0 1\n");
    assert!(!root.path().join("var/lib/vgapt").exists());
}

/// Two runs: files that are new, changed, and changed twice, a new directory, commands that were noted.
#[test]
fn receipts_of_the_second_format_are_taken_back() {
    let files = |root: &Path| walk(root).into_iter().filter(|(_, item)| matches!(item.content, Content::File(_))).collect();
    let before = TempDir::new().unwrap();
    copy(Path::new(BEFORE_FORMAT_2), before.path());
    put(before.path(), "proc/meminfo", "MemTotal:       16777216 kB\n");
    for path in ["etc/fstab", "etc/default/grub", "proc/meminfo"] {
        fs::set_permissions(before.path().join(path), Permissions::from_mode(0o644)).unwrap();
    }
    let root = of_format(FORMAT_2, |text| text);
    on(root.path(), &["undo", "--yes"]).with(0).saying(&["the tree is as before; run the commands above in that system"]);
    assert_same(&files(before.path()), &files(root.path()), "the second format");
    assert!(!root.path().join("etc/vgapt").exists() && !root.path().join("var/lib/vgapt").exists());
    // A run that was killed while its command made a file.
    let made = r#""begun": true, "made": [{"path": "/boot/grub/grub.cfg", "before": null, "after": null}]"#;
    let killed = |text: String| text.replace("\"applied\"", "\"applying\"").replace("\"begun\": false,\n      \"made\": []", made);
    // A directory, and a file whose name only looks as if it led out.
    let killed = |text: String| killed(text).replace("\"makes\": [", "\"makes\": [\"/efi/EFI/Linux/\", \"/boot/..b/.c\",");
    let root = of_format(FORMAT_2, killed);
    on(root.path(), &["undo", "--yes"]).with(0);
    assert_same(&files(before.path()), &files(root.path()), "the second format, killed");
}

#[test]
fn receipts_of_a_later_format_are_refused() {
    let root = of_format_1(|text| text.replacen('{', "{\"format\": 3,", 1).replace("\"vgapt\": \"0.1.0\"", "\"vgapt\": \"7.8.9\""));
    let before = walk(root.path());
    on(root.path(), &["undo", "--yes"]).with(3).saying(&["written by vgapt 7.8.9, in the format 3", "remedy: run this with vgapt 7.8.9"]);
    on(root.path(), &["prepare", "--hugepages", "2G", "--yes"]).with(3).saying(&["7.8.9"]);
    assert_same(&before, &walk(root.path()), "a later format");
    // No vgapt is named that would refuse it too.
    let root = of_format_1(|text| text.replacen('{', "{\"format\": 3,", 1));
    on(root.path(), &["undo", "--yes"])
        .with(3)
        .saying(&["names vgapt 0.1.0 as its writer, which has no such format", "remedy: find out where this tree comes from"]);
}

/// Where it says something that no vgapt has written, nothing of it is done.
#[test]
fn receipts_that_name_other_places_are_refused() {
    for (from, to) in [
        ("\"place\": \"/etc/fstab\"", "\"place\": \"/etc/../../fstab\""),
        ("\"place\": \"/etc/fstab\"", "\"place\": \"etc/fstab\""),
        ("\"path\": \"/etc/fstab\"", "\"path\": \"/./etc/fstab\""),
        ("\"place\": \"/etc/fstab\"", "\"place\": \"/etc//fstab\""),
        ("\"place\": \"/etc/fstab\"", "\"place\": \"/etc/fs\\u0000tab\""),
        ("\"place\": \"/etc/fstab\"", "\"place\": \"/\""),
        ("\"path\": \"/etc/fstab\"", "\"path\": \"\""),
        ("\"makes\": [", "\"makes\": [\"/boot//\","),
        ("\"directories\": []", "\"directories\": [\"/..\"]"),
        ("\"makes\": [", "\"makes\": [\"/boot/../../\","),
        ("\"mode\": 420", "\"mode\": 33188"),
    ] {
        let root = of_format_1(|text| text.replacen(from, to, 1));
        let before = walk(root.path());
        on(root.path(), &["undo", "--yes"]).with(3).saying(&[RECEIPT, "which no vgapt has written"]);
        assert_same(&before, &walk(root.path()), to);
    }
    let root = of_format_1(|text| text.replacen("\"name\": \"0.before\"", "\"name\": \"../../../../etc/fstab\"", 1));
    let before = walk(root.path());
    on(root.path(), &["undo", "--yes"]).with(3).saying(&["is not a file name"]);
    assert_same(&before, &walk(root.path()), "a name that leads out");
}

/// A program with a set-id bit, as one would plant it.
#[test]
fn no_set_id_bits_and_the_real_place() {
    let root = of_format_1(|text| {
        text.replace("\"place\": \"/etc/fstab\"", "\"place\": \"/bin/planted\"").replacen("\"mode\": 420", "\"mode\": 2541", 1)
    });
    let root = root.path();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    let planted = put(root, "usr/bin/planted", &read(root, "var/lib/vgapt/1/0.after"));
    fs::set_permissions(planted, Permissions::from_mode(0o644)).unwrap();
    let ran = on(root, &["undo", "--dry-run"]).with(0);
    assert!(ran.stdout.contains("/etc/fstab (in /usr/bin/planted) changed"), "{}", ran.stdout);
    on(root, &["undo", "--yes"]).with(0).saying(&["warning: not preserved in /bin/planted: the set-id bits of its mode (4755)"]);
    assert_eq!(fs::metadata(root.join("usr/bin/planted")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_store_that_is_not_ones_own() {
    for (path, mode) in [("var/lib/vgapt", 0o770), ("var/lib/vgapt/1", 0o707), (RECEIPT, 0o666), ("var/lib/vgapt/1/0.before", 0o622)] {
        let root = of_format_1(|text| text);
        fs::set_permissions(root.path().join(path), Permissions::from_mode(mode)).unwrap();
        let before = walk(root.path());
        on(root.path(), &["undo", "--yes"]).with(3).saying(&[path, "other users may write to it", "remedy: "]);
        assert_same(&before, &walk(root.path()), path);
    }
    if !rustix::process::geteuid().is_root() {
        return skip("a store of another user's", "only root can give files away");
    }
    for path in ["var/lib/vgapt", "var/lib/vgapt/1", RECEIPT, "var/lib/vgapt/1/1.before"] {
        let root = of_format_1(|text| text);
        std::os::unix::fs::chown(root.path().join(path), Some(65534), None).unwrap();
        for arguments in [&["undo", "--yes"][..], &["undo", "--dry-run"]] {
            on(root.path(), arguments).with(3).saying(&[path, "it belongs to the user 65534"]);
        }
    }
}

/// What may not be read is not "nothing".
#[test]
fn a_store_that_cannot_be_read() {
    if !rustix::process::geteuid().is_root() {
        return skip("a store of root's", "only root has one");
    }
    let root = of_format_1(|text| text);
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    // In a place that everybody can reach.
    let program = root.path().join("vgapt");
    fs::copy(env!("CARGO_BIN_EXE_vgapt"), &program).unwrap();
    let mut nobody = command::command("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg("--root").arg(root.path());
    let ran = run(nobody.args(["undo", "--dry-run"])).with(3);
    assert!(
        !ran.stderr.contains("has changed nothing") && ran.stderr.contains("it is unknown what vgapt has changed here"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("remedy: run this as root"), "{}", ran.stderr);
}

/// A backup, a note, a directory with a number: named, and in nobody's way.
#[test]
fn what_is_no_receipt_is_named() {
    let root = of_format_1(|text| text);
    let root = root.path();
    put(root, "var/lib/vgapt/NOTES", "mine\n");
    put(root, "var/lib/vgapt/07/receipt.json", "{}");
    fs::create_dir(root.join("var/lib/vgapt/9")).unwrap();
    let names = ["/var/lib/vgapt/NOTES", "/var/lib/vgapt/07", "/var/lib/vgapt/9"];
    on(root, &["prepare", "--hugepages", "2G", "--yes"]).with(0);
    assert!(root.join("var/lib/vgapt/10/receipt.json").exists(), "behind all that have a number");
    on(root, &["undo", "--yes"]).with(0).saying(&["not a receipt of vgapt, left unchanged"]).saying(&names);
    assert_eq!(read(root, "etc/fstab"), "UUID=1 / ext4 defaults 0 1\n");
    on(root, &["undo", "--yes"]).with(0).saying(&names).saying(&["no receipt of vgapt was found"]);
    assert_eq!(read(root, "var/lib/vgapt/NOTES"), "mine\n");
}

// --- Links ---

/// One file that is changed, one that is new in a new directory, one that is taken away.
fn plan() -> Plan {
    let write = |path: &str, before: Option<&str>, after: Option<&str>| Write {
        path: path.to_owned(),
        place: path.to_owned(),
        why: String::new(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        mode: 0o644,
    };
    Plan {
        writes: vec![
            write("/etc/default/grub", Some("old\n"), Some("new\n")),
            write("/etc/default/grub.d/new.cfg", None, Some("new\n")),
            write("/etc/default/gone", Some("old\n"), None),
        ],
        ..Plan::default()
    }
}

fn fill(root: &Path) {
    put(root, "etc/default/grub", "old\n");
    put(root, "etc/default/gone", "old\n");
    fs::create_dir_all(root.join("var/lib")).unwrap();
}

/// Two names, each of which is the other's thing every few microseconds.
fn swap(one: &Path, other: &Path, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        // Where vgapt has taken one of them away for a moment, there is nothing to swap.
        let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Wherever the links lead at the moment, each write is in the tree.
#[test]
fn links_that_are_swapped_meanwhile_lead_nowhere() {
    const ROUNDS: usize = 500;
    let all = std::env::var_os("VGAPT_TEST_ALL").is_some();
    // A directory on the way, the file itself, the store; absolute, and up and out.
    for (name, up) in [("etc/default", 3), ("etc/default/grub", 4), ("var/lib/vgapt", 4), ("etc", 2)] {
        // In memory, where there is such a place: a disk would be kept busy by the renames.
        let place = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let (root, outside) = (place.path().join("tree"), place.path().join("outside"));
        fill(&outside);
        // As if the place outside were a store, too.
        fs::create_dir_all(outside.join("var/lib/vgapt")).unwrap();
        fs::set_permissions(outside.join("var/lib/vgapt"), Permissions::from_mode(0o700)).unwrap();
        let before = walk(&outside);
        let (absolute, relative) = (root.join("absolute"), root.join(name).parent().unwrap().join("relative"));
        let start = Instant::now();
        let (mut rounds, mut done) = (0, 0);
        while rounds < ROUNDS && (all || start.elapsed() < Duration::from_secs(4)) {
            // Anew each time: what a round leaves that was led astray would end the next one at once.
            if root.exists() {
                fs::remove_dir_all(&root).unwrap();
            }
            fill(&root);
            symlink(outside.join(name), &absolute).unwrap();
            symlink(format!("{}outside/{name}", "../".repeat(up)), &relative).unwrap();
            let target = Target::open(&root, false).unwrap();
            let ends = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for link in [&absolute, &relative] {
                    let (one, ends) = (root.join(name), &ends);
                    scope.spawn(move || swap(&one, link, ends));
                }
                let round = || {
                    let mut run = host::Run::begin(&plan(), &target)?;
                    let applied = run.carry_out(&|_| ()).and_then(|_| run.confirm());
                    let back = host::undoing(&target, Which::All).and_then(|undoing| host::undo(&undoing, &target, &|_| ()));
                    applied.and(back)
                };
                done += usize::from(round().is_ok());
                ends.store(true, Ordering::Relaxed);
            });
            rounds += 1;
        }
        assert_same(&before, &walk(&outside), name);
        assert!(rounds >= 10, "{name}: only {rounds} rounds");
        println!("{name}: {rounds} rounds, {done} of them to the end");
    }
}

/// Links that were there before: each path stays inside, and one that goes round in circles is an error.
#[test]
fn links_stay_inside() {
    let place = TempDir::new().unwrap();
    let (root, outside) = (place.path().join("tree"), place.path().join("outside"));
    fill(&outside);
    let before = walk(&outside);
    for link in ["../../outside/etc/default", "/../../../outside/etc/default"] {
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink(link, root.join("etc/default")).unwrap();
        let target = Target::open(&root, false).unwrap();
        assert!(host::Run::begin(&plan(), &target).is_err(), "{link}: the file is not there");
        // Inside it is, where the same words lead.
        fill(&root.join("outside"));
        let mut run = host::Run::begin(&plan(), &target).unwrap();
        run.carry_out(&|_| ()).unwrap();
        assert_eq!(read(&root, "outside/etc/default/grub"), "new\n");
        run.roll_back(&|_| ()).unwrap();
        assert_eq!(read(&root, "outside/etc/default/grub"), "old\n");
        fs::remove_dir_all(&root).unwrap();
    }
    fill(&root);
    fs::remove_file(root.join("etc/default/grub")).unwrap();
    symlink("grub", root.join("etc/default/grub")).unwrap();
    let said = host::Run::begin(&plan(), &Target::open(&root, false).unwrap()).err().unwrap();
    assert!(format!("{said:#}").contains("etc/default/grub: Too many levels of symbolic links"), "{said:#}");
    assert_same(&before, &walk(&outside), "links that lead out");
}

/// A kernel that cannot keep a path beneath a directory writes into no tree.
#[test]
fn without_openat2_nothing_is_written_into_a_tree() {
    if !have("a kernel without openat2", &["strace"]) {
        return;
    }
    let root = of_format_1(|text| text);
    let before = walk(root.path());
    for arguments in [&["undo", "--yes"][..], &["prepare", "--hugepages", "2G", "--yes"]] {
        let mut strace = command::command("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=openat2", "-e", "inject=openat2:error=ENOSYS"]);
        strace.arg(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(root.path()).args(arguments);
        run(&mut strace).with(3).saying(&["this kernel cannot keep symbolic links inside the tree", "remedy: "]);
        assert_same(&before, &walk(root.path()), "without openat2");
    }
}

// --- What else a file has ---

/// `user::rw-,user:1:r--,group::r--,mask::r--,other::---`, as the kernel encodes it.
const ACCESS_LIST: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
    32, 0, 0, 0, 255, 255, 255, 255,
];

fn attribute(place: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = getxattr(place, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

/// Access control lists and attributes stay with a file that is changed, and come back with one that was taken away.
#[test]
fn attributes_are_kept() {
    let place = TempDir::new().unwrap();
    let root = place.path();
    fill(root);
    let files = ["etc/default/grub", "etc/default/gone"].map(|path| root.join(path));
    for file in &files {
        let set = |name, value: &[u8]| setxattr(file, name, value, XattrFlags::empty());
        if set("user.note", b"mine").is_err() || set("system.posix_acl_access", &ACCESS_LIST).is_err() {
            return skip("attributes of files", "the file system of temporary files has none");
        }
    }
    let has_all = |file: &PathBuf| {
        assert_eq!(attribute(file, "user.note").as_deref(), Some(&b"mine"[..]), "{}", file.display());
        assert_eq!(attribute(file, "system.posix_acl_access").as_deref(), Some(&ACCESS_LIST[..]), "{}", file.display());
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o640);
    };
    // A file without a list gets none of its directory's.
    assert!(setxattr(root.join("etc"), "system.posix_acl_default", &ACCESS_LIST, XattrFlags::empty()).is_ok());
    let target = Target::open(root, false).unwrap();
    let mut run = host::Run::begin(&plan(), &target).unwrap();
    run.carry_out(&|_| ()).unwrap();
    run.confirm().unwrap();
    has_all(&files[0]);
    assert!(!files[1].exists() && read(root, "etc/default/grub") == "new\n");
    let undoing = host::undoing(&target, Which::All).unwrap();
    host::undo(&undoing, &target, &|_| ()).unwrap();
    files.iter().for_each(has_all);
}

/// What cannot be kept is said: here a capability, which no file gets from a plan or a receipt.
#[test]
fn attributes_that_are_not_kept_are_said() {
    let place = TempDir::new().unwrap();
    let root = place.path();
    fill(root);
    // cap_net_raw=ep, version 2 (include/uapi/linux/capability.h).
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = root.join("etc/default/grub");
    if setxattr(&file, "security.capability", &capability, XattrFlags::empty()).is_err() {
        return skip("a capability of a file", "only root can give one");
    }
    let said = std::cell::RefCell::new(String::new());
    let mut run = host::Run::begin(&plan(), &Target::open(root, false).unwrap()).unwrap();
    run.carry_out(&|step| said.borrow_mut().push_str(step)).unwrap();
    assert!(said.borrow().contains("warning: not preserved in /etc/default/grub: security.capability"), "{}", said.borrow());
    assert_eq!(attribute(&file, "security.capability"), None);
}

// --- The root itself ---

#[test]
fn a_root_that_is_not_there_is_refused_whatever_the_command() {
    let script = TempDir::new().unwrap();
    let file = put(script.path(), "start.sh", "qemu-system-x86_64 -m 2G\n").display().to_string();
    for arguments in [&["import", &file][..], &["list"], &["check"], &["man"], &["completions", "bash"], &["disk", "info", &file]] {
        let ran = run(&mut vgapt([&["--root", "/typo/of/mine"], arguments].concat())).with(3);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("cannot read a host from /typo/of/mine"), "{arguments:?}: {}", ran.stderr);
    }
}
