//! Killed before each single system call that changes something, `vgapt prepare` and `vgapt undo` leave every
//! file of the host old or new, and a second run brings the host to where it should be. Where such a call fails,
//! what is said of the host is so.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all that it knows is asked here")]
mod command;
#[path = "support/injected.rs"]
#[expect(dead_code, reason = "not all that it knows is asked here")]
mod injected;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;
#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use command::{command, run, vgapt, without_options};
use injected::{CALLS, Whose, on_two_processors};
use libvirt::have;
use tempfile::TempDir;
use tree::{Content, Item, assert_same, distribution, walk};

const KILLED: i32 = 9;
const STORE: &str = "/var/lib/vgapt";

type Tree = BTreeMap<String, Item>;
/// The command line of a run on a tree.
type Run = fn(&Path) -> Vec<String>;
/// A call of a run, and what runs before that.
type Case<'a> = (&'a (String, usize), Option<Run>, Run);

/// Two thousand lines of sysfs make no difference here, so the machine is a small one; binding by
/// address and pages of 1 GiB make for files of every kind: new ones, changed ones, a new directory.
fn host() -> TempDir {
    let root = distribution("debian13-grub-initramfs-tools");
    fs::write(root.path().join("etc/modprobe.d/mine.conf"), "options vfio-pci ids=1af4:1041\n").unwrap();
    fs::write(root.path().join("sys/bus/pci/devices/0000:00:1f.6/sriov_totalvfs"), "7\n").unwrap();
    root
}

fn prepare(root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    let words = "--gpu 01:00.0 --hugepages 4G --page-size 1G --vfs 00:1f.6=2 --yes".split(' ');
    ["--root", &root, "prepare"].into_iter().chain(words).map(str::to_owned).collect()
}

fn undo(root: &Path) -> Vec<String> {
    ["--root", &root.display().to_string(), "undo", "--yes"].map(str::to_owned).to_vec()
}

/// The calls of a run that change something: name and which one of that name.
fn points(calls: &[&str], arguments: &[String]) -> Vec<(String, usize)> {
    let all = injected::points(calls, Whose::All, Path::new("/dev/null"), &vgapt(arguments));
    all.into_iter().filter(|point| point.changes).map(|point| (point.name, point.number)).collect()
}

/// The signal comes when the call is entered, so what the one before it did is there, and what it does is not.
fn killed(arguments: &[String], (name, number): &(String, usize)) {
    let mut strace = command("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &format!("inject={name}:signal=KILL:when={number}")]);
    let output = strace.arg(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap();
    assert_eq!(output.status.signal(), Some(KILLED), "{name} {number}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What belongs to the host, without vgapt's own notes of what it is doing.
fn without_store(tree: Tree) -> Tree {
    tree.into_iter().filter(|(path, _)| !path.starts_with(STORE)).collect()
}

/// No third state: each file is what it was or what it is to be.
fn assert_old_or_new(tree: &Tree, old: &Tree, new: &Tree, point: &str) {
    for (path, item) in tree.iter().filter(|(_, item)| item.content != Content::Other) {
        let known = old.get(path) == Some(item) || new.get(path) == Some(item);
        assert!(known || path.ends_with(".vgapt-new"), "killed before {point}, {path} is neither old nor new");
    }
    for path in old.keys().filter(|path| new.contains_key(*path)) {
        assert!(tree.contains_key(path), "killed before {point}, {path} is not there");
    }
}

struct Expected {
    before: Tree,
    prepared: Tree,
}

impl Expected {
    fn find() -> Self {
        let root = host();
        let before = walk(root.path());
        run(&mut vgapt(prepare(root.path()))).with(0);
        let prepared = without_store(walk(root.path()));
        run(&mut vgapt(undo(root.path()))).with(0);
        assert_same(&before, &walk(root.path()), "not even killed");
        Self { before, prepared }
    }

    /// Killed there, taken back; killed there, prepared, taken back.
    fn check(&self, point: &(String, usize), before_it: Option<Run>, it: Run) {
        for prepares in [false, true] {
            let root = host();
            let root = root.path();
            if let Some(first) = before_it {
                run(&mut vgapt(first(root))).with(0);
            }
            killed(&it(root), point);
            let name = format!("{} {}", point.0, point.1);
            assert_old_or_new(&without_store(walk(root)), &self.before, &self.prepared, &name);
            if prepares {
                run(&mut vgapt(prepare(root))).with(0);
                assert_same(&self.prepared, &without_store(walk(root)), &format!("killed before {name}, then prepared"));
            }
            run(&mut vgapt(undo(root))).with(0);
            assert_same(&self.before, &walk(root), &format!("killed before {name}, then taken back (prepared in between: {prepares})"));
        }
    }
}

/// Everywhere.
#[test]
fn killed_before_each_call() {
    if !have("a run killed before each system call", &["strace"]) {
        return;
    }
    let expected = Expected::find();
    let root = host();
    let of_prepare = points(&CALLS, &prepare(root.path()));
    let of_undo = points(&CALLS, &undo(root.path()));
    assert!(of_prepare.len() > 50 && of_undo.len() > 25, "{of_prepare:?} {of_undo:?}");
    let all: Vec<Case> = of_prepare
        .iter()
        .map(|point| (point, None, prepare as Run))
        .chain(of_undo.iter().map(|point| (point, Some(prepare as Run), undo as Run)))
        .collect();
    on_two_processors(&all, |(point, before_it, it)| expected.check(point, *before_it, *it));
    println!("killed before {} calls of prepare and {} of undo", of_prepare.len(), of_undo.len());
}

/// A call that fails, alone or with all of its name that follow. Only what is so is said: "nothing was changed" or "all changes
/// were rolled back" of a host that is as before, a good end of one that is prepared. What else is left is taken back by `vgapt undo`.
#[test]
fn an_error_at_each_call_is_told_as_it_is() {
    if !have("a run with an error at each system call", &["strace"]) {
        return;
    }
    let expected = Expected::find();
    let root = host();
    let of_prepare = points(&[&CALLS[..], &["fsync"]].concat(), &prepare(root.path()));
    assert!(of_prepare.iter().filter(|(name, _)| name == "fsync").count() > 20, "{of_prepare:?}");
    let all: Vec<(&(String, usize), &str)> = of_prepare.iter().flat_map(|point| [(point, ""), (point, "+")]).collect();
    // With all writes the words would fail, too.
    let all: Vec<_> = all.into_iter().filter(|((name, _), on)| name != "write" || on.is_empty()).collect();
    let (unchanged, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_two_processors(&all, |((name, number), on)| {
        let root = host();
        let root = root.path();
        let mut strace = command("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &format!("inject={name}:error=EIO:when={number}{on}")]);
        let ran = run(strace.arg(env!("CARGO_BIN_EXE_vgapt")).args(prepare(root)));
        let what = format!("{name} {number}{on} failed: {:?} {}", ran.code(), ran.stderr);
        let tree = walk(root);
        if ran.code() == Some(0) {
            assert_same(&expected.prepared, &without_store(tree), &what);
        } else if ["nothing was changed", "all changes were rolled back"].iter().any(|told| ran.stderr.contains(told)) {
            unchanged.fetch_add(1, Ordering::Relaxed);
            assert_same(&without_store(expected.before.clone()), &without_store(tree), &what);
        } else {
            left.fetch_add(1, Ordering::Relaxed);
            assert!(without_options(&ran.stderr).contains("run: vgapt undo"), "{what}");
        }
        run(&mut vgapt(undo(root))).with(0);
        assert_same(&expected.before, &walk(root), &format!("{what}\nthen taken back"));
    });
    let (unchanged, left) = (unchanged.into_inner(), left.into_inner());
    assert!(unchanged > 50 && left > 10, "{unchanged} times nothing was changed, {left} times something was left");
    println!("of {} errors, {unchanged} changed nothing and {left} left something for vgapt undo", all.len());
}
