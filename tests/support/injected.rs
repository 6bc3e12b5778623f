//! Runs whose system calls fail or kill, by strace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::command::{command, run};

/// Every call by which a program changes files; `?` before one that not every machine has. `fsync` changes
/// nothing that could be seen: killed before it, the tree is as it is when killed before the call after it.
pub(crate) const CALLS: [&str; 24] = [
    "openat",
    "?open",
    "?creat",
    "write",
    "pwrite64",
    "writev",
    "?rename",
    "?renameat",
    "renameat2",
    "?unlink",
    "unlinkat",
    "?rmdir",
    "?mkdir",
    "mkdirat",
    "fchmod",
    "?chmod",
    "fchmodat",
    "fchown",
    "fsetxattr",
    "linkat",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
];

/// A system call of a run: the number of those of its name in its process, as strace counts them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) number: usize,
    /// Whether it changes something.
    pub(crate) changes: bool,
    /// The path that it names, or that of the open file.
    pub(crate) path: String,
}

/// Whose calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of the program itself: a tool of others may hang where its own wake-ups are lost.
    Own,
    /// Those of the programs that it starts, too.
    All,
}

/// The calls of a run which ends well, in their order, without those before `main` of the programs in Rust. The run is one
/// of [`super::command::vgapt`] or the like.
pub(crate) fn points(calls: &[&str], whose: Whose, input: &Path, ran: &Command) -> Vec<Point> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let options = tracing(calls, log.path());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    run(&mut traced(&options, input, ran)).with(0);
    points_in(&fs::read_to_string(log.path()).unwrap(), whose)
}

/// The options of strace that write these calls to a log for [`points_in`].
pub(crate) fn tracing(calls: &[&str], log: &Path) -> Vec<String> {
    let trace = format!("trace=sigaltstack,{}", calls.join(","));
    ["-f", "-y", "--seccomp-bpf", "-s", "0", "-e", &trace, "-o", log.to_str().unwrap()].map(str::to_owned).to_vec()
}

/// The calls of a log, as [`points`] has them.
pub(crate) fn points_in(log: &str, whose: Whose) -> Vec<Point> {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut first = None;
    let (mut points, mut before_main, mut mains, mut words) = (Vec::new(), BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for line in log.lines() {
        let Some((process, call)) = line.split_once(' ') else { continue };
        if whose == Whose::Own && process != *first.get_or_insert_with(|| process.to_owned()) {
            continue;
        }
        let Some((name, rest)) = call.trim_start().split_once('(').filter(|(name, _)| !name.starts_with('<')) else { continue };
        // The first of a process: its threads and its end come here, too.
        if name == "sigaltstack" && mains.insert(process.to_owned()) {
            for ((_, name), number) in seen.iter().filter(|((of, _), _)| of == process) {
                let most = before_main.entry(name.clone()).or_insert(*number);
                *most = (*most).max(*number);
            }
        }
        if name == "sigaltstack" {
            continue;
        }
        let number = *seen.entry((process.to_owned(), name.to_owned())).and_modify(|number| *number += 1).or_insert(1);
        // Where the words fail, none are said.
        if matches!(name, "write" | "writev") && (rest.starts_with("1<") || rest.starts_with("2<")) {
            words.insert((name.to_owned(), number));
        }
        let changes = match name {
            "openat" | "open" | "openat2" => rest.contains("O_CREAT"),
            "fsync" | "fdatasync" => true,
            _ => CALLS.iter().any(|call| call.trim_start_matches('?') == name),
        };
        points.push(Point { name: name.to_owned(), number, changes, path: path_in(rest) });
    }
    let mut known = BTreeSet::new();
    points.retain(|Point { name, number, .. }| !words.contains(&(name.clone(), *number)));
    points.retain(|point| {
        before_main.get(&point.name).is_none_or(|most| point.number > *most) && known.insert((point.name.clone(), point.number))
    });
    points
}

/// The path in the arguments of a call, which is the last of a rename; else that of the open file, as strace -y tells it.
fn path_in(arguments: &str) -> String {
    let arguments = arguments.split(") = ").next().unwrap_or_default();
    let named = arguments.split('"').skip(1).step_by(2).filter(|path| !path.is_empty()).last();
    let open = || arguments.split_once('<')?.1.split_once('>').map(|(path, _)| path);
    named.or_else(open).unwrap_or_default().to_owned()
}

/// The same run with an error at a point.
pub(crate) fn failing(point: &Point, error: &str, whose: Whose, input: &Path, ran: &Command) -> Command {
    let options = injecting(point, error);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    traced(&options[usize::from(whose == Whose::Own)..], input, ran)
}

/// The options of strace that make a point fail, of which the first is for the programs that are started, too.
pub(crate) fn injecting(Point { name, number, .. }: &Point, error: &str) -> Vec<String> {
    let inject = format!("inject={name}:error={error}:when={number}");
    ["-f", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject].map(str::to_owned).to_vec()
}

/// `timeout … vgapt …` as `timeout … strace … vgapt …`.
fn traced(options: &[&str], input: &Path, ran: &Command) -> Command {
    let mut strace = command("strace");
    strace.args(options).stdin(File::open(input).unwrap());
    strace.args(ran.get_args().skip_while(|word| !word.to_string_lossy().ends_with("/vgapt")));
    for (name, value) in ran.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(folder) = ran.get_current_dir() {
        strace.current_dir(folder);
    }
    strace
}

pub(crate) fn on_two_processors<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(one);
                }
            });
        }
    });
}
