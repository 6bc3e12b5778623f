//! Decides what happened, and which lines of which logs say why.

use schemars::JsonSchema;
use serde::Serialize;

use super::causes::{self, Cause, Weight, When};
use super::log::Log;
use super::pattern::{self, matched};
use super::run::{End, Run};
use crate::model::{Finding, LogLine, Moment, shell_word};
use crate::readiness;

/// What was read.
pub struct Input<'a> {
    pub name: &'a str,
    /// Whether the domain runs; `None` if unknown.
    pub active: Option<bool>,
    pub domain: &'a [LogLine],
    /// Whether `domain` was read: it may also be that there is none.
    pub is_domain_known: bool,
    pub daemon: &'a [LogLine],
    pub kernel: &'a [LogLine],
    /// When the host booted.
    pub booted: Option<Moment>,
    /// A start that has just failed: when it was asked for, and what libvirt answered.
    pub answer: Option<(Moment, &'a str)>,
}

/// What became of the last start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// The domain did not start.
    StartFailed,
    /// libvirt refused a start since the domain's last run, or hangs in it; no line says of which domain.
    SomeStartFailed,
    /// It ran, and QEMU ended by itself.
    Crashed,
    /// It ran until the host itself went down.
    HostWentDown,
    /// The guest shut down: no failure.
    ShutDown,
    /// Somebody ended it, saved it or moved it: no failure.
    Ended,
    /// It runs.
    Running,
    /// No log names a start.
    NeverStarted,
    /// It was started, and how that ended is unknown; or its log could not be read.
    Unknown,
}

/// A cause that a line names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Named {
    pub code: &'static str,
    pub log: Log,
    pub line: String,
    /// The cause in words.
    pub what: String,
    /// What to do, in words, besides the command; one of both is there.
    pub remedy: String,
    /// What to do, as a command.
    pub command: Option<String>,
    /// Which program writes such lines.
    pub source: &'static str,
    /// Whether the line alone explains it, and is known to be about this domain.
    pub certain: bool,
}

impl Named {
    /// For the commands that have more to say than this.
    pub fn finding(&self) -> Finding {
        Finding::error(self.code, format!("{}: {}", self.what, self.line), self.remedy())
    }

    /// The command and the words.
    pub fn remedy(&self) -> String {
        let words = Some(&self.remedy).filter(|words| !words.is_empty());
        self.command.iter().chain(words).map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Excerpt {
    pub log: Log,
    pub lines: Vec<String>,
}

/// Why the last start failed, or the guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Why {
    pub name: String,
    pub happened: Happened,
    /// In seconds since 1970.
    pub started: Option<i64>,
    pub ended: Option<i64>,
    /// The likeliest first.
    pub causes: Vec<Named>,
    /// Where no cause is known: what the logs say of this start; else what libvirt's daemon wrote since the last run.
    pub excerpt: Vec<Excerpt>,
}

impl Why {
    /// Whether a log tells of a start.
    pub fn has_start(&self) -> bool {
        match self.happened {
            Happened::NeverStarted => false,
            Happened::Unknown => self.started.is_some(),
            _ => true,
        }
    }
}

impl Happened {
    pub fn is_failure(self) -> bool {
        matches!(self, Self::StartFailed | Self::SomeStartFailed | Self::Crashed | Self::HostWentDown)
    }
}

/// The clock of one log may be this many seconds before another's.
const BEFORE: i64 = 1;
/// How many seconds after a failure its last lines are written.
const AFTER: i64 = 10;
/// How many seconds after the end of a run what libvirt says of it has been written.
const BETWEEN: i64 = 2;
/// How many seconds before the end of a guest that ran for long a line may be its cause.
const LAST: i64 = 120;
const MOST_LINES: usize = 12;
/// What libvirt says of a domain that it could not start at boot (`src/qemu/qemu_driver.c`).
const AUTOSTART: &str = "Failed to autostart VM '{name}'";
/// How the kernel says since when a process waits (`kernel/hung_task.c`).
const HUNG: &str = "blocked for more than {number}";
/// What libvirt's daemon writes without a request that it refuses: at its start, and when a client closes its connection.
const BY_THE_WAY: [&str; 4] = ["End of file while reading data", "libvirt version: ", "hostname: ", "client socket is closed"];

/// From when to when, and from which lines.
struct Window<'a> {
    from: Moment,
    to: Moment,
    domain: &'a [LogLine],
}

/// What happened, and why.
pub fn why(input: &Input) -> Why {
    let Input { domain, daemon, kernel, .. } = *input;
    let run = Run::last(domain);
    let mut happened = happened(input, run.as_ref());
    let run_lines = run.as_ref().map(|run| run.lines.as_slice()).unwrap_or_default();
    let (mut started, mut ended) = (run.as_ref().and_then(|run| run.started), run.as_ref().and_then(|run| run.ended));
    let last = run_lines.iter().rev().find_map(|line| line.at);
    let (mut sure, mut is_of_run) = (true, false);
    let window = if let Some((asked, _)) = input.answer {
        let is_this = started.is_some_and(|at| at >= asked.later(-BEFORE));
        if !is_this {
            (started, ended) = (Some(asked), None);
        }
        Window { from: asked.later(-BEFORE), to: Moment(i64::MAX), domain: if is_this { run_lines } else { &[] } }
    } else if let Some(attempt) = attempt(input, run.as_ref(), ended.or(last)) {
        happened = if attempt.is_named { Happened::StartFailed } else { Happened::SomeStartFailed };
        (started, ended, sure) = (Some(attempt.at), None, attempt.is_named);
        Window { from: attempt.from.later(-AFTER), to: attempt.at.later(AFTER), domain: &[] }
    } else {
        is_of_run = true;
        window(happened, started, ended.or(last), kernel, input.booted, run_lines)
    };
    let is_in = |line: &&LogLine| line.at.is_some_and(|at| at >= window.from && at <= window.to);
    let answer: Vec<LogLine> =
        input.answer.iter().flat_map(|(at, text)| text.lines().map(|line| LogLine { at: Some(*at), text: line.to_owned() })).collect();
    let lines: Vec<(Log, &LogLine)> = window
        .domain
        .iter()
        .map(|line| (Log::Domain, line))
        .chain(answer.iter().map(|line| (Log::Answer, line)))
        .chain(daemon.iter().filter(is_in).map(|line| (Log::Daemon, line)))
        .chain(kernel.iter().filter(is_in).map(|line| (Log::Kernel, line)))
        .collect();
    let causes = match happened {
        Happened::NeverStarted => Vec::new(),
        // Who ended a guest that hung need not know why it did.
        Happened::ShutDown | Happened::Ended | Happened::Running | Happened::Unknown => {
            let of_domain: Vec<_> = lines.iter().copied().filter(|(log, _)| *log == Log::Domain).collect();
            named(input.name, &of_domain, When::Run, true)
        }
        Happened::StartFailed | Happened::SomeStartFailed => named(input.name, &lines, When::Start, sure),
        Happened::Crashed | Happened::HostWentDown => named(input.name, &lines, When::Run, sure),
    };
    let excerpt = if happened.is_failure() && causes.is_empty() {
        excerpt(&lines)
    } else if is_of_run && input.active != Some(true) {
        // A start that was refused before QEMU ran is in no log of the domain, and not all reasons are known.
        let is_since = |line: &&LogLine| is_later(line, run.as_ref(), ended) && !BY_THE_WAY.iter().any(|other| line.text.contains(other));
        excerpt(&daemon.iter().filter(is_since).map(|line| (Log::Daemon, line)).collect::<Vec<_>>())
    } else {
        Vec::new()
    };
    let seconds = |at: Option<Moment>| at.map(Moment::seconds);
    Why { name: input.name.to_owned(), happened, started: seconds(started), ended: seconds(ended), causes, excerpt }
}

fn happened(input: &Input, run: Option<&Run>) -> Happened {
    if input.answer.is_some() {
        return Happened::StartFailed;
    }
    let Some(run) = run else {
        return match input.active {
            Some(true) => Happened::Running,
            _ if input.is_domain_known => Happened::NeverStarted,
            _ => Happened::Unknown,
        };
    };
    match run.end {
        End::Failed => Happened::StartFailed,
        End::Crashed => Happened::Crashed,
        End::ShutDown => Happened::ShutDown,
        End::Destroyed | End::Left => Happened::Ended,
        End::Open if input.active == Some(true) => Happened::Running,
        End::Open if run.started.zip(input.booted).is_some_and(|(started, booted)| started < booted) => Happened::HostWentDown,
        End::Open if input.active == Some(false) => Happened::Crashed,
        End::Open | End::Unsaid => Happened::Unknown,
    }
}

/// A start that failed before libvirt wrote to the domain's log.
struct Attempt {
    at: Moment,
    /// When what it waits for began.
    from: Moment,
    /// Whether a line names the domain.
    is_named: bool,
}

/// The last one after the end of the last run: a message of the daemon that is known to prevent a start, or one of the
/// kernel that libvirt waits for ever.
fn attempt(input: &Input, run: Option<&Run>, ended: Option<Moment>) -> Option<Attempt> {
    if input.active == Some(true) || run.is_some_and(|run| run.end == End::Open && input.active.is_none()) {
        return None;
    }
    let later = |line: &&LogLine| is_later(line, run, ended);
    let is_reason = |line: &&LogLine| {
        let is_known = cause(Log::Daemon, &line.text, When::Start).is_some_and(|(cause, _)| cause.weight == Weight::Reason);
        is_known || matched(AUTOSTART, &line.text).is_some_and(|found| found.iter().any(|(_, name)| *name == input.name))
    };
    let hangs = |line: &&LogLine| readiness::kernel_cause(&line.text).is_some_and(|cause| causes::HANGS.contains(&cause.code));
    let refused = input.daemon.iter().filter(later).filter(is_reason);
    let last = refused.chain(input.kernel.iter().filter(later).filter(hangs)).max_by_key(|line| line.at)?;
    let at = last.at?;
    let waited = matched(HUNG, &last.text).and_then(|found| found.first()?.1.parse().ok()).unwrap_or(0);
    let mut near = input.daemon.iter().filter(|line| line.at.is_some_and(|when| when >= at.later(-AFTER) && when <= at.later(AFTER)));
    Some(Attempt { at, from: at.later(-waited), is_named: near.any(|line| names(&line.text, input.name)) })
}

/// Whether a line was written after the last run ended.
fn is_later(line: &LogLine, run: Option<&Run>, ended: Option<Moment>) -> bool {
    let after = ended.or_else(|| run?.started);
    line.at.is_some() && after.is_none_or(|after| line.at > Some(after.later(BETWEEN)))
}

/// Whether a line has a name as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !name.is_empty()
        && line
            .match_indices(name)
            .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + name.len()..].starts_with(|c: char| c != '.' && is_part(c)))
}

/// When the lines were written that may say why.
fn window<'a>(
    happened: Happened,
    started: Option<Moment>,
    ended: Option<Moment>,
    kernel: &[LogLine],
    booted: Option<Moment>,
    domain: &'a [LogLine],
) -> Window<'a> {
    // Of a run whose start is in no log any more.
    let unknown = ended.map_or(Moment(i64::MAX), |ended| ended.later(-LAST));
    let started = started.unwrap_or(unknown);
    let (from, to) = match happened {
        Happened::HostWentDown => {
            let before = |line: &&LogLine| line.at < booted && line.at >= Some(started);
            let last = kernel.iter().filter(before).filter_map(|line| line.at).max().unwrap_or(started);
            (last.later(-LAST).max(started), last)
        }
        Happened::Crashed => {
            let ended = ended.unwrap_or(started);
            (ended.later(-LAST).max(started.later(-BEFORE)), ended.later(AFTER))
        }
        _ => (started.later(-BEFORE), ended.unwrap_or(started).later(AFTER)),
    };
    Window { from, to, domain }
}

/// The first cause that knows a line, with what stands at the places of its pattern.
fn cause(log: Log, line: &str, when: When) -> Option<(&'static Cause, pattern::Found<'_>)> {
    // What QEMU only warns of, it goes on with; SPICE, whose messages all are warnings, does not.
    let is_warning = line.contains(": warning: ") && !line.contains(": warning: Spice: ");
    causes::all()
        .filter(|cause| cause.logs.contains(&log) && (cause.when == when || cause.when == When::Both))
        .filter(|cause| !is_warning || cause.weight == Weight::Symptom)
        .find_map(|cause| Some((cause, cause.lines.iter().find_map(|pattern| matched(pattern, line))?)))
}

/// The causes of the lines, each once: reasons first, and what follows from a reason only where none is known.
fn named(name: &str, lines: &[(Log, &LogLine)], when: When, sure: bool) -> Vec<Named> {
    let mut ranked: Vec<(u8, Named)> = Vec::new();
    for (log, line) in lines {
        let found = cause(*log, &line.text, when).map(|(cause, places)| {
            let is_named = || {
                places.iter().filter(|(place, _)| *place == "path").any(|(_, path)| {
                    let file = path.rsplit('/').next().unwrap_or(path);
                    lines.iter().any(|(other, line)| *other != Log::Kernel && line.text.contains(file))
                })
            };
            let rank = match cause.weight {
                Weight::IfNamed if is_named() => 0,
                Weight::IfNamed => 9,
                Weight::Reason => 1,
                Weight::Symptom => 3,
            };
            (rank, of_cause(name, *log, &line.text, cause, &places, sure))
        });
        let found = found.or_else(|| (*log == Log::Kernel).then(|| of_kernel(&line.text, sure)).flatten());
        if let Some((rank, one)) = found.filter(|(rank, one)| *rank < 9 && !ranked.iter().any(|(_, known)| known.code == one.code)) {
            ranked.push((rank, one));
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let is_known = ranked.first().is_some_and(|(rank, _)| *rank < 3);
    ranked.into_iter().filter(|(rank, _)| !is_known || *rank < 3).map(|(_, named)| named).collect()
}

fn of_cause(name: &str, log: Log, line: &str, cause: &'static Cause, places: &[(&'static str, &str)], sure: bool) -> Named {
    let plain = |quote: bool| {
        let mut found: Vec<(&str, String)> =
            places.iter().map(|(place, value)| (*place, if quote { shell_word(value) } else { (*value).to_owned() })).collect();
        found.push(("name", if quote { shell_word(name) } else { name.to_owned() }));
        found
    };
    Named {
        code: cause.code,
        log,
        line: line.to_owned(),
        what: pattern::said(cause.what, &plain(false)),
        remedy: pattern::said(cause.remedy, &plain(true)),
        command: Some(cause.command).filter(|command| !command.is_empty()).map(|command| pattern::said(command, &plain(true))),
        source: cause.source,
        certain: sure && cause.weight != Weight::Symptom,
    }
}

/// What the checks of the host know of the kernel's log.
fn of_kernel(line: &str, sure: bool) -> Option<(u8, Named)> {
    let cause = readiness::kernel_cause(line)?;
    let rank = if causes::REASONS.contains(&cause.code) {
        2
    } else if causes::SYMPTOMS.contains(&cause.code) {
        4
    } else {
        return None;
    };
    let named = Named {
        code: cause.code,
        log: Log::Kernel,
        line: line.to_owned(),
        what: cause.why.to_owned(),
        remedy: cause.remedy.to_owned(),
        command: cause.command.map(str::to_owned),
        source: "Linux, its drivers of PCI, IOMMU and VFIO",
        certain: sure && rank == 2,
    };
    Some((rank, named))
}

/// The last lines of each log.
fn excerpt(lines: &[(Log, &LogLine)]) -> Vec<Excerpt> {
    let of = |log: Log| {
        let texts: Vec<String> = lines.iter().filter(|(own, _)| *own == log).map(|(_, line)| line.text.clone()).collect();
        Excerpt { log, lines: texts[texts.len().saturating_sub(MOST_LINES)..].to_vec() }
    };
    [Log::Answer, Log::Domain, Log::Daemon, Log::Kernel].map(of).into_iter().filter(|excerpt| !excerpt.lines.is_empty()).collect()
}
