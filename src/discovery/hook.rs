//! The state of libvirt's hook: which daemon runs it, which one called it last, and when it was installed.

use std::collections::BTreeSet;

use super::config::is_script;
use crate::model::{Daemon, Finding, HOOK, HOOK_DAEMONS, HOOK_MARK, HOOK_PROGRAMS, HookState, OtherHook, Reading, WrittenLine};
use crate::root::Root;

/// The processes between libvirt and vgapt: the hook's shell, and wrappers of a distribution.
const MOST_BETWEEN: usize = 5;
const EXECUTABLE: u32 = 0o111;

/// The hook folders; NixOS uses the second one.
const FOLDERS: [&str; 2] = ["/etc/libvirt/hooks", "/var/lib/libvirt/hooks"];
/// The depth of the usual hook dispatcher: `qemu.d/NAME/prepare/begin/FILE`.
const DEEPEST: usize = 5;
const MOST_HOOKS: usize = 200;
const LONGEST_HOOK: u64 = 64 << 10;
/// How far calls are followed: a hook, the scripts it calls, and the scripts these call.
const MOST_CALLS: usize = 2;
/// The administrator's programs, which may be called by name only.
const OWN_PROGRAMS: [&str; 2] = ["/usr/local/bin", "/usr/local/sbin"];
/// Programs that call libvirt, which causes a deadlock, because libvirt waits for the hook (libvirt's page on hooks).
const ASKS: [&str; 4] = ["virsh", "virt-xml", "virt-manager", "libvirt.open"];
/// Words in lines that unbind devices or stop the display of the host.
const TAKES: [&str; 7] = ["display-manager", "/unbind", "driver_override", "new_id", "vtcon", "modprobe -r", "nodedev-detach"];

/// What a hook may write that vgapt writes, too.
const WRITES: [&str; 2] = ["nr_hugepages", "sriov_numvfs"];

pub(super) fn read(root: &Root) -> HookState {
    let (others, unread) = others(root);
    HookState {
        others,
        unread,
        daemon: daemon(root),
        called_by: root.attribute(HOOK_MARK).and_then(|text| Daemon::parse(&text)),
        booted: booted(root),
        written: root.changed(HOOK),
        ..HookState::default()
    }
}

/// Hooks that vgapt does not manage and that conflict with its own hook, for this domain or for all. Hooks that cannot be
/// read are reported by `vgapt check`.
pub fn other_hooks(root: &Root, domain: Option<&str>) -> Vec<Finding> {
    let is_for = |hook: &&OtherHook| domain.is_none_or(|domain| hook.is_for(domain));
    others(root).0.iter().filter(is_for).filter_map(OtherHook::finding).collect()
}

/// The hooks that vgapt did not write, and why a folder or a hook could not be read.
fn others(root: &Root) -> (Vec<OtherHook>, Option<String>) {
    let (paths, mut unread) = paths(root);
    let mut found = Vec::new();
    for path in &paths {
        if let Some(because) = root.reading(path).unknown() {
            unread.get_or_insert_with(|| because.to_owned());
        }
        found.extend(other(root, path));
    }
    (found, unread)
}

/// The hooks that vgapt did not write, and why a folder could not be read.
fn paths(root: &Root) -> (Vec<String>, Option<String>) {
    let (mut paths, mut unread) = (Vec::new(), None);
    for folder in FOLDERS {
        walk(root, folder, DEEPEST, &mut paths, &mut unread);
    }
    let ours = |path: &String| *path == HOOK || HOOK_PROGRAMS.contains(&path.as_str());
    paths.retain(|path| !ours(path) && is_run(root, path));
    (paths, unread)
}

/// The lines of these hooks that write what vgapt writes, too.
pub(super) fn writes(root: &Root) -> Vec<WrittenLine> {
    let mut found = Vec::new();
    for path in paths(root).0 {
        let text = excerpt(root, &path).unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| WRITES.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|(index, line)| WrittenLine { path: path.clone(), line: index + 1, text: line.trim().to_owned() }));
    }
    found
}

/// Whether a file is run. libvirt ignores files that are not executable (`virHookCheck`), but a dispatcher may run them, or
/// fail.
fn is_run(root: &Root, path: &str) -> bool {
    let below = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder)).unwrap_or_default();
    below.matches('/').count() > 2 || root.status(path).is_some_and(|status| status.mode & EXECUTABLE != 0)
}

fn walk(root: &Root, folder: &str, depth: usize, paths: &mut Vec<String>, unread: &mut Option<String>) {
    let names = match root.entries(folder) {
        Reading::Known(names) => names,
        Reading::Absent => return,
        Reading::Unknown(because) => {
            unread.get_or_insert(because);
            return;
        }
    };
    for path in names.iter().filter(|name| !name.starts_with('.')).map(|name| format!("{folder}/{name}")) {
        match root.status(&path) {
            Some(status) if status.is_dir && depth > 0 => walk(root, &path, depth - 1, paths, unread),
            Some(status) if !status.is_dir && status.size <= LONGEST_HOOK && paths.len() < MOST_HOOKS => paths.push(path),
            _ => {}
        }
    }
}

fn other(root: &Root, path: &str) -> Option<OtherHook> {
    let text = excerpt(root, path)?;
    let domain = path.split("/qemu.d/").nth(1).and_then(|rest| Some(rest.split_once('/')?.0.to_owned()));
    let first = |words: &[&str]| first(root, &text, words, &mut BTreeSet::from([path.to_owned()]), MOST_CALLS);
    Some(OtherHook { path: path.to_owned(), domain, calls_libvirt: first(&ASKS), takes: first(&TAKES) })
}

/// The relevant lines, and those that call another script; all other lines are made empty to keep the line numbers.
fn excerpt(root: &Root, path: &str) -> Option<String> {
    let matters = |line: &str| ASKS.iter().chain(&TAKES).chain(&WRITES).any(|word| line.contains(word)) || !called(root, line).is_empty();
    let kept = |line: &str| if is_comment(line) || !matters(line) { "\n".to_owned() } else { format!("{line}\n") };
    root.excerpt(path, |text| text.lines().map(kept).collect())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The first line that contains one of these words, or calls a script that contains one, recursively.
fn first(root: &Root, text: &str, words: &[&str], seen: &mut BTreeSet<String>, depth: usize) -> Option<(usize, String)> {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !is_comment(line)) {
        if words.iter().any(|word| line.contains(word)) {
            return Some((index + 1, line.trim().to_owned()));
        }
        for program in called(root, line) {
            if depth == 0 || seen.len() > MOST_HOOKS || !seen.insert(program.clone()) {
                continue;
            }
            let found = excerpt(root, &program).and_then(|text| first(root, &text, words, seen, depth - 1));
            if let Some((number, what)) = found {
                return Some((index + 1, format!("{} ({program}, line {number}: {what})", line.trim())));
            }
        }
    }
    None
}

/// The scripts that a line calls, by path, or by name if they are in the administrator's program folders.
fn called(root: &Root, line: &str) -> Vec<String> {
    let words = line.split(|c: char| c.is_whitespace() || "\"'=;&|(){}<>`$".contains(c)).filter(|word| !word.is_empty());
    let is_name = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let paths = words.flat_map(|word| match word {
        _ if word.starts_with('/') => vec![word.to_owned()],
        _ if is_name(word) => OWN_PROGRAMS.iter().map(|folder| format!("{folder}/{word}")).collect(),
        _ => Vec::new(),
    });
    // Files in the hook folders are checked separately.
    let elsewhere = |path: &String| !["/sys/", "/dev/", "/proc/"].iter().chain(&FOLDERS).any(|folder| path.starts_with(folder));
    paths.filter(elsewhere).filter(|path| is_script(root, path)).collect()
}

/// The daemon that runs hooks: a running one, else one with a stale PID file.
pub fn daemon(root: &Root) -> Option<Daemon> {
    let of = |(file, name): &(&str, &str)| {
        let pid = root.attribute(file)?.parse().ok()?;
        let is_it = root.attribute(&format!("/proc/{pid}/comm")).as_deref() == Some(name);
        let started = root.attribute(&format!("/proc/{pid}/stat")).filter(|_| is_it).and_then(|stat| Daemon::ticks(&stat));
        Some(Daemon { name: (*name).to_owned(), pid, started })
    };
    let known: Vec<Daemon> = HOOK_DAEMONS.iter().filter_map(of).collect();
    known.iter().find(|daemon| daemon.started.is_some()).or(known.first()).cloned()
}

/// Whether a process is a descendant of another one.
pub fn descends_from(root: &Root, mut process: u32, ancestor: u32) -> bool {
    (0..MOST_BETWEEN).any(|_| {
        let found = process == ancestor;
        process = parent(root, process).unwrap_or_default();
        found
    })
}

fn parent(root: &Root, process: u32) -> Option<u32> {
    let stat = root.attribute(&format!("/proc/{process}/stat"))?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

pub(super) fn program(root: &Root) -> Option<String> {
    let runs = |path: &&&str| root.status(path).is_some_and(|status| !status.is_dir && status.mode & EXECUTABLE != 0);
    HOOK_PROGRAMS.iter().find(runs).map(|path| (*path).to_owned())
}

pub fn booted(root: &Root) -> Option<u64> {
    let line = root.excerpt("/proc/stat", |text| text.lines().find(|line| line.starts_with("btime ")).unwrap_or_default().to_owned())?;
    line.strip_prefix("btime ")?.trim().parse().ok()
}
