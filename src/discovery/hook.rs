//! What is seen of libvirt's hook: who runs it, who has called it last, since when it is there.

use crate::model::{Daemon, HOOK, HOOK_DAEMONS, HOOK_MARK, HOOK_PROGRAMS, HookSeen};
use crate::root::Root;

/// Between libvirt and vgapt are the hook's shell, and whatever a distribution puts around it.
const MOST_BETWEEN: usize = 5;
const EXECUTABLE: u32 = 0o111;

pub(super) fn read(root: &Root) -> HookSeen {
    HookSeen {
        daemon: daemon(root),
        called_by: root.attribute(HOOK_MARK).and_then(|text| Daemon::parse(&text)),
        booted: booted(root),
        written: root.changed(HOOK),
        ..HookSeen::default()
    }
}

/// The daemon that runs hooks: one that runs now before one that has left its file behind.
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

/// Whether a process was started by another one, or by what that has started.
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

/// The program that the hook would run.
pub(super) fn program(root: &Root) -> Option<String> {
    let runs = |path: &&&str| root.status(path).is_some_and(|status| !status.is_dir && status.mode & EXECUTABLE != 0);
    HOOK_PROGRAMS.iter().find(runs).map(|path| (*path).to_owned())
}

fn booted(root: &Root) -> Option<u64> {
    let line = root.excerpt("/proc/stat", |text| text.lines().find(|line| line.starts_with("btime ")).unwrap_or_default().to_owned())?;
    line.strip_prefix("btime ")?.trim().parse().ok()
}
