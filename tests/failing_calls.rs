//! A system call that fails, each in turn, in the hook, in `define` and in `disk`: nothing is half done, the exit code is one of
//! those that are documented, and it is said what failed. `prepare` and `undo`: `prepare_killed.rs`.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all that it knows is asked here")]
mod command;
#[path = "support/injected.rs"]
mod injected;
#[path = "support/libvirt.rs"]
#[expect(dead_code, reason = "only what tells of missing programs is used here")]
mod libvirt;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use command::{Ran, Z170, command, run, vgapt};
use injected::{CALLS, Point, Whose, failing, on_two_processors, points};
use libvirt::have;
use tempfile::TempDir;
use vgapt::root::Capture;

/// The calls by which a program reads, starts others and waits.
const READS: [&str; 16] = [
    "openat2",
    "read",
    "pread64",
    "?readlink",
    "readlinkat",
    "getdents64",
    "newfstatat",
    "?stat",
    "statx",
    "fstatfs",
    "flock",
    "fcntl",
    "pipe2",
    "fsync",
    "clone3",
    "wait4",
];
/// What is written down of codes (README.md, `vgapt --help`).
const CODES: [i32; 4] = [0, 1, 2, 3];
/// Of the calls that change nothing there are thousands: so many of them are tried, spread over the run. `VGAPT_TEST_ALL` is all.
const MOST_READS: usize = 60;

fn all_calls() -> Vec<&'static str> {
    CALLS.into_iter().chain(READS).collect()
}

/// The calls that are tried: all that change something, and some of the others; what each fails with.
fn tried(points: Vec<Point>) -> Vec<(Point, &'static str)> {
    let (changes, reads): (Vec<Point>, Vec<Point>) = points.into_iter().partition(|point| point.changes);
    let every = if std::env::var_os("VGAPT_TEST_ALL").is_some() { 1 } else { reads.len().div_ceil(MOST_READS).max(1) };
    let reads = reads.into_iter().step_by(every).map(|point| (point, "EIO"));
    changes.into_iter().map(|point| (point, "ENOSPC")).chain(reads).collect()
}

/// It ended by itself with a code that is documented, and where that is not 0 it said why: where a file could not be changed, with
/// its path below the folder of the run.
fn ended_well(ran: &Ran, point: &Point, folder: &Path, what: &str) {
    assert!(ran.code().is_some_and(|code| CODES.contains(&code)), "{what}: {:?}: {}{}", ran.code(), ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
    assert!(ran.code() == Some(0) || !ran.stderr.trim().is_empty(), "{what}: {:?} without a word", ran.code());
    if ran.code() != Some(0) && point.changes && point.path.starts_with('/') {
        let name = point.path.rsplit('/').next().unwrap_or_default();
        let is_named = ran.stderr.contains(name) || ran.stderr.contains(&format!("{}/", folder.display()));
        assert!(is_named, "{what}: '{}' is not named: {}", point.path, ran.stderr);
    }
}

const POOL: &str = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const GOVERNOR: &str = "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor";
const NOUVEAU: &str = "sys/bus/pci/drivers/nouveau";
const INTERRUPT: &str = "proc/irq/45/smp_affinity_list";
const INTERRUPTS: &str = "proc/irq/default_smp_affinity";

/// A machine, and in it the domain that gets a function, huge pages and a core, off which interrupts are moved.
struct Machine {
    root: TempDir,
    xml: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        Capture::load(Path::new(Z170)).unwrap().unpack(root.path()).unwrap();
        let machine = Self { xml: root.path().join("it.xml"), root };
        for (path, text) in [
            (format!("{NOUVEAU}/unbind"), ""),
            (format!("{NOUVEAU}/bind"), ""),
            (POOL.to_owned(), "0\n"),
            (POOL.replace("nr_", "free_"), "0\n"),
            (GOVERNOR.to_owned(), "schedutil\n"),
            (GOVERNOR.replace("governor", "available_governors"), "performance schedutil\n"),
            (INTERRUPT.to_owned(), "0-3\n"),
            (INTERRUPTS.to_owned(), "f\n"),
            ("sys/kernel/irq/45/actions".to_owned(), "eth0\n"),
        ] {
            let place = machine.root.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        let record =
            r#"{"request":{},"passed":[{"address":"0000:01:00.0","id":"10de:1401","subsystem":null}],"wrote":{}}"#.replace('"', "&quot;");
        let xml = format!(
            "<domain type='kvm'><name>it</name><metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{record}</vgapt:domain></metadata>\
             <memory unit='MiB'>512</memory><memoryBacking><hugepages/></memoryBacking><cputune><vcpupin vcpu='0' cpuset='2'/></cputune>\
             <devices><hostdev mode='subsystem' type='pci' managed='yes'><source>\
             <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev></devices></domain>"
        );
        fs::write(&machine.xml, xml).unwrap();
        machine
    }

    fn hook(&self, [operation, suboperation]: [&str; 2]) -> Command {
        vgapt(["--root", self.root.path().to_str().unwrap(), "hook", "it", operation, suboperation, "-"])
    }

    fn call(&self, operation: [&str; 2]) {
        let ran = run(self.hook(operation).stdin(fs::File::open(&self.xml).unwrap())).with(0);
        assert_eq!(ran.stderr, "", "{operation:?}");
    }

    /// What the host has lost to the domain.
    fn lost(&self) -> [String; 6] {
        let get = |path: &str| fs::read_to_string(self.root.path().join(path)).unwrap_or_default().trim().to_owned();
        // A tree has no link to the driver: what was not unbound is bound all the same.
        let unbound = !get(&format!("{NOUVEAU}/unbind")).is_empty() && get(&format!("{NOUVEAU}/bind")).is_empty();
        let noted = fs::read_dir(self.root.path().join("run/vgapt")).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let noted: Vec<String> = noted.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".json")).collect();
        [get(POOL), get(GOVERNOR), get(INTERRUPT), get(INTERRUPTS), unbound.to_string(), noted.join(" ")]
    }
}

const NOTHING: [&str; 6] = ["0", "schedutil", "0-3", "f", "false", ""];
const START: [[&str; 2]; 2] = [["prepare", "begin"], ["started", "begin"]];
const END: [[&str; 2]; 2] = [["stopped", "end"], ["release", "end"]];

/// A start is refused with everything returned, or has all that it needs; after the end, at the latest after a second one,
/// the host has everything back.
#[test]
fn the_hook_takes_all_or_nothing_and_returns_it() {
    if !have("hooks with an error at each system call", &["strace"]) {
        return;
    }
    let (cases, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for (number, operation) in START.into_iter().chain(END).enumerate() {
        let before = |machine: &Machine| START.into_iter().chain(END).take(number).for_each(|operation| machine.call(operation));
        let machine = Machine::new();
        before(&machine);
        if number == 2 {
            assert_eq!(machine.lost(), ["256", "performance", "0-1,3", "0000000b", "true", "it.json"]);
        }
        let all = tried(points(&all_calls(), Whose::All, &machine.xml, &machine.hook(operation)));
        assert!(all.iter().filter(|(point, _)| point.changes).count() >= 3, "{operation:?}: {all:?}");
        cases.fetch_add(all.len(), Ordering::Relaxed);
        on_two_processors(&all, |(point, error)| {
            let machine = Machine::new();
            before(&machine);
            let ran = run(&mut failing(point, error, Whose::All, &machine.xml, &machine.hook(operation)));
            let what = format!("{operation:?}, {} {} fails with {error}", point.name, point.number);
            ended_well(&ran, point, machine.root.path(), &what);
            if ran.code() != Some(0) {
                refused.fetch_add(1, Ordering::Relaxed);
                assert!(operation == START[0] && ran.code() == Some(1), "{what}: only a start is refused: {:?}", ran.code());
                assert!(ran.stderr.starts_with("vgapt: ") && ran.stderr.lines().count() == 1, "{what}: {}", ran.stderr);
                if !ran.stderr.contains("could not return everything") {
                    assert_eq!(machine.lost(), NOTHING, "{what}: {}", ran.stderr);
                }
            } else if operation == START[0] {
                assert_eq!(machine.lost(), ["256", "schedutil", "0-3", "f", "true", "it.json"], "{what}: {}", ran.stderr);
            }
            END.into_iter().chain([END[1]]).for_each(|operation| machine.call(operation));
            assert_eq!(machine.lost(), NOTHING, "{what}: {}\nthen its end", ran.stderr);
        });
    }
    let (cases, refused) = (cases.into_inner(), refused.into_inner());
    assert!(cases > 100 && refused > 10, "{cases} errors, {refused} starts refused");
    println!("of {cases} errors in the hook, {refused} refused the start");
}

/// The files of a folder, and what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    // A saved request names its own path.
    let own = folder.to_str().unwrap();
    let content = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        String::from_utf8(bytes).map_or_else(std::string::FromUtf8Error::into_bytes, |text| text.replace(own, "FOLDER").into_bytes())
    };
    let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), content(&entry.path()));
    fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()
}

/// A file that `define` saves is whole or not there.
#[test]
fn define_saves_all_or_nothing() {
    if !have("define with an error at each system call", &["strace"]) {
        return;
    }
    let define = |folder: &Path| {
        let save = folder.join("win10.toml");
        let mut define = vgapt(["--root", Z170, "define", "win10", "--gpu", "01:00.0", "--force", "--save", save.to_str().unwrap()]);
        define.current_dir(folder);
        define
    };
    let folder = TempDir::new().unwrap();
    let all = tried(points(&all_calls(), Whose::Own, Path::new("/dev/null"), &define(folder.path())));
    let whole = files(folder.path());
    assert_eq!(whole.keys().collect::<Vec<_>>(), ["win10.toml"]);
    let failed = AtomicUsize::new(0);
    on_two_processors(&all, |(point, error)| {
        let folder = TempDir::new().unwrap();
        let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &define(folder.path())));
        let what = format!("define, {} {} fails with {error}", point.name, point.number);
        ended_well(&ran, point, folder.path(), &what);
        let left = files(folder.path());
        if ran.code() == Some(0) {
            assert_eq!(left, whole, "{what}: {}", ran.stderr);
        } else {
            failed.fetch_add(1, Ordering::Relaxed);
            assert!(left.is_empty() || left == whole, "{what}: {left:?}\n{}", ran.stderr);
        }
    });
    let failed = failed.into_inner();
    assert!(all.len() > 50 && failed > 10, "{failed} of {} failed", all.len());
    println!("of {} errors in define, {failed} ended it", all.len());
}

/// Images in a folder, and programs that stand in for those of libguestfs.
struct Images {
    folder: TempDir,
    tools: TempDir,
}

impl Images {
    fn new() -> Self {
        let new = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let images = Self { folder: new(), tools: new() };
        for (name, script) in [
            ("virt-sparsify", "exec qemu-img convert -f qcow2 -O qcow2 \"${@: -2:1}\" \"${@: -1}\""),
            ("virt-copy-in", "exec qemu-io -f qcow2 -c 'write -q -P 7 128k 64k' \"$3\""),
        ] {
            let tool = images.tools.path().join(name);
            fs::write(&tool, format!("#!/bin/bash\n{script}\n")).unwrap();
            fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
        }
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "base", "1M"]);
        images.tool(&["qemu-io", "-c", "write -q -P 17 0 64k", "base"]);
        images
    }

    fn with_overlay() -> Self {
        let images = Self::new();
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "diff"]);
        images.tool(&["qemu-io", "-c", "write -q -P 34 32k 64k", "diff"]);
        images
    }

    fn with_file() -> Self {
        let images = Self::new();
        fs::write(images.folder.path().join("file"), "x").unwrap();
        images
    }

    fn tool(&self, argv: &[&str]) {
        run(command(argv[0]).args(&argv[1..]).current_dir(self.folder.path())).with(0);
    }

    fn disk(&self, arguments: &[&str]) -> Command {
        let mut disk = vgapt([&["disk"], arguments].concat());
        disk.current_dir(self.folder.path());
        disk.env("PATH", format!("{}:{}", self.tools.path().display(), std::env::var("PATH").unwrap()));
        disk
    }

    /// What a run tries that ends well, and what it leaves.
    fn tried(&self, arguments: &[&str]) -> Vec<(Point, &'static str)> {
        tried(points(&all_calls(), Whose::Own, Path::new("/dev/null"), &self.disk(arguments)))
    }

    fn fails(&self, arguments: &[&str], (point, error): &(Point, &str)) -> (Ran, String) {
        let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &self.disk(arguments)));
        let what = format!("disk {}, {} {} fails with {error}", arguments.join(" "), point.name, point.number);
        ended_well(&ran, point, self.folder.path(), &what);
        (ran, what)
    }

    /// The files; a folder of vgapt's own that could not be removed is for the next run to remove.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap());
        let of_ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains(".vgapt-") && entry.path().is_dir();
        let files = entries.filter(|entry| !of_ours(entry));
        files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    }

    /// Whether a disk has the content of another.
    fn is(&self, one: &str, other: &Path) -> bool {
        let other = other.to_str().unwrap();
        run(command("qemu-img").args(["compare", "-q", "-U", one, other]).current_dir(self.folder.path())).code() == Some(0)
    }
}

/// An image is whole or not there, and those that it is made of stay as they are, also where the tool fails.
#[test]
fn an_image_is_whole_or_not_there() {
    if !have("disk with an error at each system call", &["strace", "qemu-img", "qemu-io"]) {
        return;
    }
    let (cases, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for arguments in [&["create", "new", "1M"][..], &["overlay", "base", "new"], &["merge", "diff", "new"], &["compact", "diff", "new"]] {
        let images = Images::with_overlay();
        let before = images.files();
        let all = images.tried(arguments);
        let whole = images.folder.path().join("new");
        let inode = |images: &Images| fs::metadata(images.folder.path().join("base")).unwrap().ino();
        cases.fetch_add(all.len(), Ordering::Relaxed);
        on_two_processors(&all, |case| {
            let images = Images::with_overlay();
            let base = inode(&images);
            let (ran, what) = images.fails(arguments, case);
            let mut left = images.files();
            let new = left.remove("new");
            assert!(left == before && base == inode(&images), "{what}: {:?}\n{}", left.keys(), ran.stderr);
            assert!(new.is_none() || images.is("new", &whole), "{what}: it is not whole: {}", ran.stderr);
            assert!(new.is_some() || ran.code() != Some(0), "{what}: it is not there: {}", ran.stdout);
            failed.fetch_add(usize::from(ran.code() != Some(0)), Ordering::Relaxed);
            if new.is_some() {
                fs::remove_file(images.folder.path().join("new")).unwrap();
            }
            run(&mut images.disk(arguments)).with(0);
            assert_eq!(fs::read_dir(images.folder.path()).unwrap().count(), 3, "{what}: the next run leaves something");
        });
    }
    let (cases, failed) = (cases.into_inner(), failed.into_inner());
    assert!(cases > 200 && failed > 50, "{failed} of {cases} failed");
    println!("of {cases} errors in disk, {failed} ended it");
}

/// A disk that is written into is old or new, if need be through the overlay, and the same command finishes it.
#[test]
fn what_is_written_into_an_image_is_finished_by_the_next_run() {
    if !have("disk with an error at each system call", &["strace", "qemu-img", "qemu-io"]) {
        return;
    }
    let (cases, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for (arguments, new) in
        [(&["commit", "diff"][..], Images::with_overlay as fn() -> Images), (&["copy-in", "file", "base", "/"], Images::with_file)]
    {
        let (old, images) = (new(), new());
        let all = images.tried(arguments);
        let (old, whole) = (old.folder.path().join("base"), images.folder.path().join("base"));
        assert!(!images.is("base", &old), "{arguments:?} changes nothing");
        cases.fetch_add(all.len(), Ordering::Relaxed);
        on_two_processors(&all, |case| {
            let images = new();
            let (ran, what) = images.fails(arguments, case);
            let over = ["diff", "base.copied-in"].into_iter().find(|name| images.folder.path().join(name).exists());
            let is_new = images.is(over.unwrap_or("base"), &whole);
            let is_old = arguments[0] == "copy-in" && over.is_none() && images.is("base", &old);
            assert!(is_new || (is_old && ran.code() != Some(0)), "{what}: {over:?}: {}{}", ran.stdout, ran.stderr);
            failed.fetch_add(usize::from(ran.code() != Some(0)), Ordering::Relaxed);
            run(&mut images.disk(arguments)).with(0);
            assert!(images.is("base", &whole), "{what}: the next run does not finish it");
            assert_eq!(fs::read_dir(images.folder.path()).unwrap().count(), 2, "{what}: the next run leaves something");
        });
    }
    let (cases, failed) = (cases.into_inner(), failed.into_inner());
    assert!(cases > 100 && failed > 30, "{failed} of {cases} failed");
    println!("of {cases} errors in disk commit and copy-in, {failed} ended it");
}
