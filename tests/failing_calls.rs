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
use std::thread::sleep;
use std::time::Duration;

use command::{Ran, Z170, command, run, vgapt};
use injected::{CALLS, Point, Whose, failing, injecting, on_two_processors, points, points_in, tracing};
use libvirt::{Libvirt, have};
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
/// The calls by which it gets memory, waits, and talks to others; not `brk`, which says in another way that there is no more.
const OTHERS: [&str; 28] = [
    "mmap",
    "mprotect",
    "munmap",
    "poll",
    "ppoll",
    "?epoll_wait",
    "clock_nanosleep",
    "waitid",
    "?vfork",
    "execve",
    "dup2",
    "dup3",
    "ioctl",
    "lseek",
    "access",
    "getcwd",
    "prlimit64",
    "eventfd2",
    "fdatasync",
    "socket",
    "socketpair",
    "setsockopt",
    "connect",
    "sendto",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "flistxattr",
];
/// What is written down of codes (README.md, `vgapt --help`).
const CODES: [i32; 4] = [0, 1, 2, 3];
/// Of the errors at calls that change nothing there are thousands: so many of those in [`READS`], and half as many others, are tried,
/// spread over the run. `VGAPT_TEST_ALL` is all.
const MOST: usize = 60;

fn all_calls() -> Vec<&'static str> {
    CALLS.into_iter().chain(READS).chain(OTHERS).collect()
}

/// What a call fails with: the first is what its device or its disk has, the others what happens to it besides.
fn errors(point: &Point) -> &'static [&'static str] {
    match point.name.as_str() {
        "write" | "writev" => &["ENOSPC", "EINTR", "EPIPE"],
        "fsync" | "fdatasync" => &["EIO"],
        _ if point.changes => &["ENOSPC"],
        "read" => &["EIO", "EINTR"],
        "wait4" | "waitid" => &["EIO", "ECHILD"],
        "flock" => &["EIO", "ENOLCK"],
        "openat" | "open" | "openat2" | "pipe2" => &["EIO", "EMFILE"],
        "clone3" | "vfork" => &["EIO", "EAGAIN"],
        "mmap" | "mprotect" | "munmap" | "execve" | "prlimit64" => &["ENOMEM"],
        "poll" | "ppoll" | "epoll_wait" => &["EINTR", "ENOMEM"],
        "clock_nanosleep" => &["EINTR"],
        "dup2" | "dup3" | "eventfd2" | "socket" | "socketpair" => &["EMFILE"],
        "connect" => &["ECONNREFUSED", "EAGAIN", "EINTR"],
        "sendto" | "sendmsg" => &["EPIPE", "ECONNRESET", "EINTR"],
        "recvfrom" | "recvmsg" => &["ECONNRESET", "EAGAIN", "EINTR"],
        _ => &["EIO"],
    }
}

/// The errors that are tried: the first at all calls that change something, and some of the others.
fn tried(points: Vec<Point>) -> Vec<(Point, &'static str)> {
    some_of(points, MOST)
}

fn some_of(points: Vec<Point>, most: usize) -> Vec<(Point, &'static str)> {
    let (mut changes, mut reads, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for point in points {
        for (number, error) in errors(&point).iter().enumerate() {
            let list = match number {
                0 if point.changes => &mut changes,
                0 if READS.contains(&point.name.as_str()) => &mut reads,
                _ => &mut others,
            };
            list.push((point.clone(), *error));
        }
    }
    let all = std::env::var_os("VGAPT_TEST_ALL").is_some();
    let some = |list: Vec<(Point, &'static str)>, most: usize| {
        let every = if all { 1 } else { list.len().div_ceil(most).max(1) };
        list.into_iter().step_by(every)
    };
    changes.into_iter().chain(some(reads, most)).chain(some(others, most / 2)).collect()
}

/// Where a program in Rust gets no memory, or a thread of it no second stack, it ends there and then, with these words.
const NO_MEMORY: [&str; 2] = ["memory allocation of ", "alternative stack"];
const ABORTED: i32 = 128 + 6;

fn tells_of_no_memory(ran: &Ran) -> bool {
    NO_MEMORY.iter().any(|words| ran.stderr.contains(words))
}

fn has_no_memory(ran: &Ran) -> bool {
    tells_of_no_memory(ran) && ran.code().is_none_or(|code| code == ABORTED)
}

/// It ended by itself with a code that is documented, and where that is not 0 it said why: where a file could not be changed, with
/// its path below the folder of the run.
fn ended_well(ran: &Ran, (point, error): &(Point, &str), folder: &Path, what: &str) {
    assert!(*error != "EINTR" || ran.code() == Some(0), "{what}: a call that was interrupted is made again: {}", ran.stderr);
    let is_documented = has_no_memory(ran) || ran.code().is_some_and(|code| CODES.contains(&code));
    assert!(is_documented, "{what}: {:?}: {}{}", ran.code(), ran.stdout, ran.stderr);
    assert!(tells_of_no_memory(ran) || !ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
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
        on_two_processors(&all, |case @ (point, error)| {
            let machine = Machine::new();
            before(&machine);
            let ran = run(&mut failing(point, error, Whose::All, &machine.xml, &machine.hook(operation)));
            let what = format!("{operation:?}, {} {} fails with {error}", point.name, point.number);
            ended_well(&ran, case, machine.root.path(), &what);
            if has_no_memory(&ran) {
                refused.fetch_add(1, Ordering::Relaxed);
            } else if ran.code() != Some(0) {
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
    on_two_processors(&all, |case @ (point, error)| {
        let folder = TempDir::new().unwrap();
        let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &define(folder.path())));
        let what = format!("define, {} {} fails with {error}", point.name, point.number);
        ended_well(&ran, case, folder.path(), &what);
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

/// vgapt in a folder of its own, beside a program that runs the one that asks libvirt by strace.
struct Beside(TempDir);

impl Beside {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let vgapt = Path::new(env!("CARGO_BIN_EXE_vgapt"));
        fs::hard_link(vgapt, folder.path().join("vgapt")).or_else(|_| fs::copy(vgapt, folder.path().join("vgapt")).map(drop)).unwrap();
        Self(folder)
    }

    fn run(&self, options: &[String], arguments: &[&str]) -> Ran {
        let words: Vec<String> = options.iter().map(|word| format!("'{word}'")).collect();
        let helper = self.0.path().join("vgapt-libvirt");
        fs::write(&helper, format!("#!/bin/sh\nexec strace {} {} \"$@\"\n", words.join(" "), env!("CARGO_BIN_EXE_vgapt-libvirt"))).unwrap();
        fs::set_permissions(helper, fs::Permissions::from_mode(0o755)).unwrap();
        // Where libvirt does not notice that it was woken, vgapt ends it.
        run(command(self.0.path().join("vgapt")).args(arguments).env("VGAPT_LIBVIRT_TIMEOUT", "10"))
    }
}

/// Where the program that asks libvirt fails, vgapt says so, and what it saves is whole or not there.
#[test]
fn define_copes_with_a_program_that_fails_to_ask_libvirt() {
    if !have("define with an error at each system call of vgapt-libvirt", &["strace"]) {
        return;
    }
    let save = |folder: &Path| folder.join("win10.toml").display().to_string();
    let define = |folder: &Path, options: &[String]| {
        let words = ["--root", Z170, "define", "win10", "--gpu", "01:00.0", "--force", "--save", &save(folder)];
        Beside::new().run(options, &words)
    };
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    define(folder.path(), &tracing(&all_calls(), &log)).with(0);
    let all = some_of(points_in(&fs::read_to_string(&log).unwrap(), Whose::All), MOST / 2);
    fs::remove_file(log).unwrap();
    let whole = files(folder.path());
    let (failed, silent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_two_processors(&all, |(point, error)| {
        let folder = TempDir::new().unwrap();
        let ran = define(folder.path(), &injecting(point, error));
        let what = format!("define, {} {} of vgapt-libvirt fails with {error}", point.name, point.number);
        assert!(ran.code().is_some_and(|code| CODES.contains(&code)), "{what}: {:?}: {}", ran.code(), ran.stderr);
        assert!(tells_of_no_memory(&ran) || !ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        let left = files(folder.path());
        if ran.code() == Some(0) {
            assert_eq!(left, whole, "{what}: {}", ran.stderr);
            return;
        }
        failed.fetch_add(1, Ordering::Relaxed);
        silent.fetch_add(usize::from(ran.stderr.contains("libvirt does not answer")), Ordering::Relaxed);
        assert!(ran.stderr.contains("libvirt"), "{what}: {}", ran.stderr);
        assert!(left.is_empty() || left == whole, "{what}: {left:?}\n{}", ran.stderr);
    });
    let (failed, silent) = (failed.into_inner(), silent.into_inner());
    assert!(all.len() > 30 && failed > 5, "{failed} of {} failed", all.len());
    println!("of {} errors in vgapt-libvirt, {failed} ended define, {silent} of them by its time limit", all.len());
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

    fn fails(&self, arguments: &[&str], case @ (point, error): &(Point, &str)) -> (Ran, String) {
        let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &self.disk(arguments)));
        let what = format!("disk {}, {} {} fails with {error}", arguments.join(" "), point.name, point.number);
        ended_well(&ran, case, self.folder.path(), &what);
        (ran, what)
    }

    /// The next run, which ends well. Where vgapt ended without waiting for a tool, that gets SIGTERM then, and lives for a moment.
    fn finish(&self, arguments: &[&str]) {
        for _ in 0..50 {
            let ran = run(&mut self.disk(arguments));
            if !ran.stderr.contains("QEMU's lock is held") {
                ran.with(0);
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("disk {}: its tool still runs", arguments.join(" "));
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
            images.finish(arguments);
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
            images.finish(arguments);
            assert!(images.is("base", &whole), "{what}: the next run does not finish it");
            assert_eq!(fs::read_dir(images.folder.path()).unwrap().count(), 2, "{what}: the next run leaves something");
        });
    }
    let (cases, failed) = (cases.into_inner(), failed.into_inner());
    assert!(cases > 100 && failed > 30, "{failed} of {cases} failed");
    println!("of {cases} errors in disk commit and copy-in, {failed} ended it");
}

/// A domain has its old disk or the new one, and that one where the command ended well; the images stay as they are.
#[test]
fn a_domain_has_its_old_disk_or_the_new_one() {
    if !have("disk swap with an error at each system call", &["strace", "virsh", "qemu-img", "qemu-io", "qemu-system-x86_64"]) {
        return;
    }
    let images = Images::with_overlay();
    let [base, overlay] = ["base", "diff"].map(|name| images.folder.path().join(name).display().to_string());
    let before = images.files();
    let defined = || {
        let libvirt = Libvirt::embedded();
        let file = libvirt.path("domain.xml");
        let xml = format!(
            "<domain type='qemu'><name>it</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>\
             <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{base}'/><target dev='sda' bus='sata'/></disk>\
             </devices></domain>"
        );
        fs::write(&file, xml).unwrap();
        libvirt.virsh(&["define", &file]);
        libvirt
    };
    let swap = |libvirt: &Libvirt| {
        let mut swap = vgapt(["-c", &libvirt.uri, "disk", "swap", "it", &overlay]);
        swap.current_dir(images.folder.path());
        swap
    };
    let source = |libvirt: &Libvirt| {
        let xml = libvirt.xml("it");
        [&base, &overlay].into_iter().find(|path| xml.contains(&format!("file='{path}'"))).cloned()
    };
    let libvirt = defined();
    let all = some_of(points(&all_calls(), Whose::Own, Path::new("/dev/null"), &swap(&libvirt)), MOST / 6);
    assert_eq!(source(&libvirt).as_ref(), Some(&overlay));
    let failed = AtomicUsize::new(0);
    on_two_processors(&all, |case @ (point, error)| {
        let libvirt = defined();
        let ran = run(&mut failing(point, error, Whose::Own, Path::new("/dev/null"), &swap(&libvirt)));
        let what = format!("disk swap, {} {} fails with {error}", point.name, point.number);
        ended_well(&ran, case, images.folder.path(), &what);
        assert!(images.files() == before, "{what}: an image is changed: {}", ran.stderr);
        // Where vgapt got no memory, the program beside it may live for a moment longer.
        let is_free = || run(command("virsh").args(["-q", "-c", &libvirt.uri, "uri"])).code() == Some(0);
        for _ in (0..100).take_while(|_| !is_free()) {
            sleep(Duration::from_millis(100));
        }
        let now = source(&libvirt);
        assert!(now.is_some() && (ran.code() != Some(0) || now.as_ref() == Some(&overlay)), "{what}: {now:?}: {}", ran.stderr);
        failed.fetch_add(usize::from(ran.code() != Some(0)), Ordering::Relaxed);
        run(&mut swap(&libvirt)).with(0);
        assert_eq!(source(&libvirt).as_ref(), Some(&overlay), "{what}: the next run does not finish it");
    });
    let failed = failed.into_inner();
    assert!(all.len() > 15 && failed > 5, "{failed} of {} failed", all.len());
    println!("of {} errors in disk swap, {failed} ended it", all.len());
}

/// What `disk info` says is so, or it says that something is not known.
#[test]
fn what_is_said_of_a_disk_is_so() {
    if !have("disk info with an error at each system call", &["strace", "qemu-img", "qemu-io"]) {
        return;
    }
    let images = Images::with_overlay();
    let before = images.files();
    let info = ["info", "diff"];
    let whole = run(&mut images.disk(&info)).with(0).stdout;
    let all = images.tried(&info);
    let (failed, incomplete) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_two_processors(&all, |case| {
        let (ran, what) = images.fails(&info, case);
        assert!(images.files() == before, "{what}: {}", ran.stderr);
        if ran.code() != Some(0) {
            failed.fetch_add(1, Ordering::Relaxed);
        } else if ran.stdout != whole {
            incomplete.fetch_add(1, Ordering::Relaxed);
            assert!(!ran.stderr.is_empty() || ran.stdout.contains("unknown"), "{what}: {}", ran.stdout);
        }
    });
    let (failed, incomplete) = (failed.into_inner(), incomplete.into_inner());
    assert!(all.len() > 50 && failed > 10, "{failed} of {} failed", all.len());
    println!("of {} errors in disk info, {failed} ended it and {incomplete} left something unknown", all.len());
}

/// A program that ignores the signal of a child's end passes that on: the kernel would then forget how children end.
#[test]
fn who_ignores_ends_of_children_changes_nothing() {
    if !have("vgapt under a program that ignores SIGCHLD", &["qemu-img", "qemu-io"]) {
        return;
    }
    let images = Images::new();
    let disk = images.disk(&["create", "new", "1M"]);
    let mut ignoring = command("env");
    ignoring.arg("--ignore-signal=CHLD").args(disk.get_args().skip_while(|word| !word.to_string_lossy().ends_with("/vgapt")));
    run(ignoring.current_dir(images.folder.path())).with(0);
    assert!(images.folder.path().join("new").exists());
}
