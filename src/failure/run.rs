//! The last run of a domain, from libvirt's log of it.

use crate::model::{LogLine, Moment, STARTING};

/// How libvirt says that a domain ended (`qemuProcessStop` of libvirt's `src/qemu/qemu_process.c`).
const ENDING: &str = ": shutting down";

/// From QEMU's start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub started: Option<Moment>,
    pub end: End,
    pub ended: Option<Moment>,
    /// What QEMU and libvirt wrote meanwhile, without QEMU's command line.
    pub lines: Vec<LogLine>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its log does not say: the domain runs, or the host or libvirt stopped before it did.
    Open,
    /// It never ran.
    Failed,
    /// QEMU ended by itself.
    Crashed,
    /// The guest shut down.
    ShutDown,
    /// libvirt was asked to end it.
    Destroyed,
    /// It was saved, or moved to another host.
    Left,
    /// libvirt does not say why.
    Unsaid,
}

impl Run {
    /// `None` where the log has neither a start nor an end. One that has only the end was cut or renamed meanwhile.
    pub fn last(log: &[LogLine]) -> Option<Self> {
        let first = log.iter().rposition(|line| line.text.contains(STARTING));
        let mut run = Self { started: first.and_then(|first| log[first].at), end: End::Open, ended: None, lines: Vec::new() };
        let mut in_command = first.is_some();
        for line in &log[first.map_or(0, |first| first + 1)..] {
            if in_command {
                // The command goes on while its lines end with a backslash.
                in_command = line.text.ends_with('\\');
                continue;
            }
            if let Some((_, why)) =
                line.text.split_once(ENDING).filter(|(before, _)| Moment::parse(before).is_some_and(|(_, rest)| rest.is_empty()))
            {
                (run.end, run.ended) = (end(why), line.at);
                continue;
            }
            if !line.text.trim().is_empty() {
                run.lines.push(line.clone());
            }
        }
        (first.is_some() || run.end != End::Open).then_some(run)
    }
}

/// The words after `shutting down` (`virDomainShutoffReason` of libvirt's `src/conf/domain_conf.c`).
fn end(why: &str) -> End {
    match why.trim_start_matches(", reason=").trim() {
        "failed" => End::Failed,
        "crashed" => End::Crashed,
        "shutdown" => End::ShutDown,
        "destroyed" => End::Destroyed,
        "saved" | "migrated" | "from snapshot" | "daemon" => End::Left,
        _ => End::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Vec<LogLine> {
        text.lines().map(|line| LogLine { at: Moment::parse(line).map(|(at, _)| at), text: line.to_owned() }).collect()
    }

    #[test]
    fn the_last_run_without_its_command_line() {
        let earlier = "2026-11-25 10:00:00.000+0000: starting up libvirt version: 11\nA=1 \\\nqemu \\\n-x\nold\n2026-11-25 10:00:01.000+0000: shutting down, reason=failed\n";
        let later = "2026-11-25 11:00:00.000+0000: starting up libvirt version: 11\nA=1 \\\n-name failed \\\n-y\nnew\n\n2026-11-25 11:00:05.000+0000: shutting down, reason=shutdown\n";
        let run = Run::last(&log(&format!("{earlier}{later}"))).unwrap();
        assert_eq!(run.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["new"]);
        assert_eq!((run.end, run.started.map(|at| at.to_string())), (End::ShutDown, Some("2026-11-25 11:00:00 UTC".to_owned())));
        let run = Run::last(&log(earlier)).unwrap();
        assert_eq!((run.end, run.lines.len()), (End::Failed, 1));
        // A guest can write what it likes to a console that is in this log.
        assert_eq!(
            Run::last(&log("2026-11-25 11:00:00.000+0000: starting up libvirt version: 1\nq\nx: shutting down, reason=failed"))
                .unwrap()
                .end,
            End::Open
        );
        let cut = Run::last(&log("2026-05-04T10:00:01.0Z new
2026-05-04 10:00:02.000+0000: shutting down, reason=failed"))
        .unwrap();
        assert_eq!((cut.started, cut.end, cut.lines.len()), (None, End::Failed, 1));
        assert_eq!(Run::last(&log("no end")), None);
        assert_eq!(Run::last(&log("")), None);
    }
}
