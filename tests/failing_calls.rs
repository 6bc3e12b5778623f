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
use std::os::unix::fs::MetadataExt as _;
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

/// It ended by itself with a code that is documented, and where that is not 0 it said why.
fn ended_well(ran: &Ran, what: &str) {
    assert!(ran.code().is_some_and(|code| CODES.contains(&code)), "{what}: {:?}: {}{}", ran.code(), ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
    assert!(ran.code() == Some(0) || !ran.stderr.trim().is_empty(), "{what}: {:?} without a word", ran.code());
}

const POOL: &str = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const GOVERNOR: &str = "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor";
const NOUVEAU: &str = "sys/bus/pci/drivers/nouveau";

/// A machine, and in it the domain that gets a function, huge pages and a core.
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
    fn lost(&self) -> [String; 4] {
        let get = |path: &str| fs::read_to_string(self.root.path().join(path)).unwrap_or_default().trim().to_owned();
        // A tree has no link to the driver: what was not unbound is bound all the same.
        let unbound = !get(&format!("{NOUVEAU}/unbind")).is_empty() && get(&format!("{NOUVEAU}/bind")).is_empty();
        let noted = fs::read_dir(self.root.path().join("run/vgapt")).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let noted: Vec<String> = noted.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".json")).collect();
        [get(POOL), get(GOVERNOR), unbound.to_string(), noted.join(" ")]
    }
}

const NOTHING: [&str; 4] = ["0", "schedutil", "false", ""];
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
        let all = tried(points(&all_calls(), Whose::All, &machine.xml, &machine.hook(operation)));
        assert!(all.iter().filter(|(point, _)| point.changes).count() >= 3, "{operation:?}: {all:?}");
        cases.fetch_add(all.len(), Ordering::Relaxed);
        on_two_processors(&all, |(point, error)| {
            let machine = Machine::new();
            before(&machine);
            let ran = run(&mut failing(point, error, Whose::All, &machine.xml, &machine.hook(operation)));
            let what = format!("{operation:?}, {} {} fails with {error}", point.name, point.number);
            ended_well(&ran, &what);
            if ran.code() != Some(0) {
                refused.fetch_add(1, Ordering::Relaxed);
                assert!(operation == START[0] && ran.code() == Some(1), "{what}: only a start is refused: {:?}", ran.code());
                assert!(ran.stderr.starts_with("vgapt: ") && ran.stderr.lines().count() == 1, "{what}: {}", ran.stderr);
                if !ran.stderr.contains("could not return everything") {
                    assert_eq!(machine.lost(), NOTHING, "{what}: {}", ran.stderr);
                }
            } else if operation == START[0] {
                assert_eq!(machine.lost(), ["256", "schedutil", "true", "it.json"], "{what}: {}", ran.stderr);
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
        ended_well(&ran, &what);
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

/// An image is whole or not there, and those that it is made of stay as they are, also where the tool fails.
#[test]
fn an_image_is_whole_or_not_there() {
    if !have("disk with an error at each system call", &["strace", "qemu-img", "qemu-io"]) {
        return;
    }
    let sources = || {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for words in [
            "qemu-img create -q -f qcow2 base 1M",
            "qemu-io -c write,-q,-P,17,0,64k base",
            "qemu-img create -q -f qcow2 -b base -F qcow2 diff",
        ] {
            let words = words.split(' ').map(|word| word.replace(',', " "));
            let words: Vec<String> = words.collect();
            run(command(&words[0]).args(&words[1..]).current_dir(folder.path())).with(0);
        }
        folder
    };
    let (cases, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for arguments in [&["create", "new", "1M"][..], &["overlay", "base", "new"], &["merge", "diff", "new"]] {
        let disk = |folder: &Path| {
            let mut disk = vgapt([&["disk"], arguments].concat());
            disk.current_dir(folder);
            disk
        };
        let folder = sources();
        let before = files(folder.path());
        let all = tried(points(&all_calls(), Whose::Own, Path::new("/dev/null"), &disk(folder.path())));
        let inode = |folder: &TempDir| fs::metadata(folder.path().join("base")).unwrap().ino();
        cases.fetch_add(all.len(), Ordering::Relaxed);
        on_two_processors(&all, |(point, error)| {
            let folder = sources();
            let base = inode(&folder);
            let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &disk(folder.path())));
            let what = format!("disk {}, {} {} fails with {error}", arguments.join(" "), point.name, point.number);
            ended_well(&ran, &what);
            let mut left = files(folder.path());
            let new = left.remove("new");
            assert!(left == before && base == inode(&folder), "{what}: {:?}\n{}", left.keys(), ran.stderr);
            if new.is_some() {
                run(command("qemu-img")
                    .args(["compare", "-q", "-U", "new", if arguments[0] == "create" { "new" } else { "base" }])
                    .current_dir(folder.path()))
                .with(0);
            }
            assert!(new.is_some() || ran.code() != Some(0), "{what}: it is not there: {}", ran.stdout);
            failed.fetch_add(usize::from(ran.code() != Some(0)), Ordering::Relaxed);
        });
    }
    let (cases, failed) = (cases.into_inner(), failed.into_inner());
    assert!(cases > 100 && failed > 30, "{failed} of {cases} failed");
    println!("of {cases} errors in disk, {failed} ended it");
}
