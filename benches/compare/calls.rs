//! System calls, files and memory, as strace sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tempfile::NamedTempFile;
use vgapt::model::PciAddress;

use crate::Result;
use crate::programs::Program;
use crate::trees::Tree;

/// Between two looks at a program's memory; it is held at its end for ten times as long.
const LOOK: Duration = Duration::from_millis(20);

/// How many system calls a program and its children make.
pub(crate) fn count(program: &Program) -> Result<u32> {
    let report = strace(program, &["-c"])?;
    let total = report.lines().rfind(|line| line.ends_with("total")).ok_or("strace counts no total")?;
    Ok(total.split_ascii_whitespace().nth(3).ok_or("strace's total is no table")?.parse()?)
}

/// The largest resident memory of a program, or of one of its children.
pub(crate) fn peak_memory(program: &Program) -> Result<u64> {
    let hold = format!("inject=exit_group:delay_enter={}", 10 * LOOK.as_micros());
    let mut strace = program.command(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=exit_group", "-e", &hold]).spawn()?;
    let mut peak = 0;
    while strace.try_wait()?.is_none() {
        peak = peak.max(peak_below(strace.id()));
        sleep(LOOK);
    }
    if peak == 0 { Err("strace cannot hold a program at its end".into()) } else { Ok(peak) }
}

fn peak_below(process: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let peak = |child: u32| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        peak_below(child).max(kib.unwrap_or_default() << 10)
    };
    children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).map(peak).max().unwrap_or_default()
}

/// What a program did with files.
#[derive(Default)]
pub(crate) struct Trace {
    /// The paths that it opened, links followed.
    opened: BTreeSet<String>,
    /// Those whose bytes or names it read, with how often they were opened for it.
    read: BTreeMap<String, usize>,
    /// Those of which it then asked for something.
    used: BTreeSet<String>,
    /// The paths that it could not open.
    pub(crate) missing: Vec<String>,
}

impl Trace {
    pub(crate) fn twice(&self) -> Vec<String> {
        self.read.iter().filter(|(_, times)| **times > 1).map(|(path, _)| path.clone()).collect()
    }

    pub(crate) fn untouched(&self) -> Vec<String> {
        self.opened.iter().filter(|path| !self.used.contains(*path)).cloned().collect()
    }
}

/// Follows what a program does with files.
pub(crate) fn trace(program: &Program) -> Result<Trace> {
    let mut trace = Trace::default();
    // Opened, and not read since.
    let mut fresh = BTreeSet::new();
    for line in strace(program, &["-y", "-s", "0"])?.lines() {
        let Some((call, rest)) = line.split_once(' ').map_or(line, |(_, rest)| rest.trim_start()).split_once('(') else { continue };
        // With -y, strace shows the path behind each descriptor: 3</sys/bus>.
        let descriptor = |text: &str| Some(text.split_once('<')?.1.split_once('>')?.0.to_owned());
        if call.starts_with("open") {
            match rest.rsplit_once(" = ") {
                Some((_, error)) if error.starts_with('-') => trace.missing.extend(rest.split('"').nth(1).map(str::to_owned)),
                Some((_, opened)) => {
                    let path = descriptor(opened).unwrap_or_default();
                    fresh.insert(path.clone());
                    trace.opened.insert(path);
                    // The directory from which a path was opened.
                    trace.used.extend(descriptor(rest.split(',').next().unwrap_or_default()));
                }
                None => {}
            }
        } else if call != "close" {
            let Some(path) = descriptor(rest) else { continue };
            // Not the name of a link: readlinkat.
            if matches!(call, "read" | "pread64" | "getdents64") && fresh.remove(&path) {
                *trace.read.entry(path.clone()).or_default() += 1;
            }
            trace.used.insert(path);
        }
    }
    Ok(trace)
}

/// The sorts of files that `vgapt list` reads and that change its output on none of these machines
/// when they are taken away.
pub(crate) fn unneeded(trees: &[Tree]) -> Result<Vec<String>> {
    let mut needed: BTreeMap<String, bool> = BTreeMap::new();
    for tree in trees {
        let list = Program::list(&tree.path);
        let output = || Ok::<_, crate::Error>(list.command(&[]).stdout(std::process::Stdio::piped()).output()?.stdout);
        let before = output()?;
        let mut sorts: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for path in trace(&list)?.opened.into_iter().filter(|path| path.starts_with(&*tree.path.to_string_lossy())) {
            let path = PathBuf::from(path);
            if path != tree.path {
                sorts.entry(sort(&path)).or_default().push(path);
            }
        }
        for (sort, paths) in sorts {
            let away = |path: &Path| format!("{}~", path.display());
            let needed = needed.entry(sort).or_default();
            if *needed {
                continue;
            }
            paths.iter().try_for_each(|path| fs::rename(path, away(path)))?;
            *needed = output()? != before;
            paths.iter().try_for_each(|path| fs::rename(away(path), path))?;
        }
    }
    Ok(needed.into_iter().filter(|(_, needed)| !needed).map(|(sort, _)| sort).collect())
}

/// The name of a file, which says what sort it is; functions are all of one.
fn sort(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.parse::<PciAddress>().is_ok() { "a function".to_owned() } else { name.into_owned() }
}

fn strace(program: &Program, options: &[&str]) -> Result<String> {
    let report = NamedTempFile::new()?;
    let place = report.path().to_string_lossy();
    let words: Vec<&str> = ["strace", "-f", "-o", &place].iter().chain(options).copied().collect();
    program.command(&words).status()?;
    Ok(fs::read_to_string(report.path())?)
}
