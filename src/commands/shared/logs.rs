//! The logs of a domain's last start, and what they say of it.

use std::path::PathBuf;
use std::time::SystemTime;

use super::context::Context;
use crate::discovery;
use crate::failure::{self, Catalog, Input, Why};
use crate::model::{Finding, LogLine, Moment, ReadLog, Reading, shell_word};
use crate::output;
use crate::root::Root;
use crate::run;

/// How far back the journal is read where no log names a start.
const BACK: i64 = 24 * 3600;
/// The daemons that start domains, of the system and of a session.
const DAEMONS: [&str; 2] = ["libvirtd", "virtqemud"];

/// Where logs are read from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Host { root: bool },
    Tree,
    Capture,
}

/// What was read.
pub(in crate::commands) struct Logs {
    path: String,
    domain: ReadLog,
    daemon: ReadLog,
    kernel: ReadLog,
    booted: Option<Moment>,
    /// The language in which libvirt writes.
    catalog: Catalog,
    /// Where they were read from.
    place: Place,
}

impl Logs {
    pub(in crate::commands) fn read(context: &Context, root: &Root, name: &str) -> Self {
        let path = path(context, name);
        let domain = discovery::domain_log(root, &path);
        let booted = discovery::booted(root).and_then(|seconds| seconds.try_into().ok()).map(|seconds| Moment(0).later(seconds));
        let started = failure::Run::last(&domain.lines).and_then(|run| run.started);
        let journal = if root.is_live() { journal(started) } else { Reading::Absent };
        let (daemon, kernel) = match journal {
            Reading::Known((daemon, kernel)) => (ReadLog::whole(daemon), ReadLog::whole(kernel)),
            // Without systemd, and in a tree, there are files.
            Reading::Absent => (discovery::daemon_log(root), discovery::kernel_log_with_times(root)),
            Reading::Unknown(because) => (Reading::Unknown(because).into(), discovery::kernel_log_with_times(root)),
        };
        let place = match root.is_live() {
            true => Place::Host { root: rustix::process::geteuid().is_root() },
            false if root.is_capture() => Place::Capture,
            false => Place::Tree,
        };
        // An answer of libvirt's client is in the caller's own language.
        let own = discovery::LANGUAGE_VARIABLES.iter().filter(|_| root.is_live()).filter_map(|name| std::env::var(name).ok());
        let own: Vec<String> = own.collect();
        let of = |program: &str| discovery::catalog(root, program, &own);
        let catalog = Catalog::new(of("libvirt"), &of("libc"));
        let mut daemon = daemon;
        for line in &mut daemon.lines {
            line.text = in_both(&catalog, &line.text);
        }
        Self { path, domain, daemon, kernel, booted, catalog, place }
    }

    pub(in crate::commands) fn why(&self, context: &Context, name: &str, active: Option<bool>, answer: Option<(Moment, &str)>) -> Why {
        let Self { domain, daemon, kernel, booted, .. } = self;
        let (domain, daemon, kernel) = (&domain.lines, &daemon.lines, &kernel.lines);
        // A capture contains only what was read when it was made.
        let is_domain_known = match self.domain.complete {
            Reading::Known(()) => true,
            Reading::Absent => self.place != Place::Capture,
            Reading::Unknown(_) => false,
        };
        let answer = answer.map(|(at, text)| (at, text.lines().map(|line| in_both(&self.catalog, line)).collect::<Vec<_>>().join("\n")));
        let answer = answer.as_ref().map(|(at, text)| (*at, text.as_str()));
        let why = failure::why(&Input { name, active, domain, is_domain_known, daemon, kernel, booted: *booted, answer });
        Why { causes: context.repeated(why.causes), ..why }
    }

    /// The logs that are missing, and how to read them. Where a cause is certain, one that does not exist does not matter.
    pub(in crate::commands) fn unread(&self, why: &Why) -> Vec<Finding> {
        let as_root = format!("sudo vgapt why {}", shell_word(&why.name));
        let is_certain = why.causes.first().is_some_and(|cause| cause.certain);
        let finding = |log: &ReadLog, what: &str, elsewhere: &str| {
            let because = match &log.complete {
                Reading::Known(()) => return None,
                Reading::Absent if is_certain => return None,
                Reading::Absent if self.place == Place::Capture => "the capture does not contain it".to_owned(),
                Reading::Absent => "it is not there".to_owned(),
                Reading::Unknown(because) => because.clone(),
            };
            let is_there = matches!(log.complete, Reading::Unknown(_));
            let remedy = match self.place {
                // The same command reads no more: root has read what there is, and what is not there nobody can read.
                Place::Host { root: false } if is_there => format!("{as_root}; or: {elsewhere}"),
                Place::Host { .. } => elsewhere.to_owned(),
                Place::Capture | Place::Tree => format!("run vgapt on the host itself, without --root; or there: {elsewhere}"),
            };
            let much = if log.lines.is_empty() { "not read" } else { "not read whole" };
            Some(Finding::warning("log-unread", format!("{what} was {much}: {because}"), remedy))
        };
        [
            finding(
                &self.domain,
                &format!("libvirt's log of the domain, {},", self.path),
                &format!("sudo less {}", shell_word(&self.path)),
            ),
            finding(&self.daemon, "the log of libvirt's daemon", "journalctl -u libvirtd -u virtqemud"),
            finding(&self.kernel, "the kernel's log", "sudo dmesg"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Prints why a start failed that libvirt has just refused, or a guest that was waited for has ended. Where the logs are on
/// another machine, nothing is known beyond the answer.
pub(in crate::commands) fn tell(context: &Context, root: Option<&Root>, name: &str, answer: Option<(Moment, &anyhow::Error)>) {
    let Some(root) = root.filter(|root| root.is_live()) else { return };
    let logs = Logs::read(context, root, name);
    // What libvirt said is behind what was tried.
    let said = |error: &anyhow::Error| error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let answer = answer.map(|(asked, error)| (asked, said(error)));
    let why = logs.why(context, name, answer.is_none().then_some(false), answer.as_ref().map(|(asked, text)| (*asked, text.as_str())));
    context.say(&output::why(&why));
    if context.global.json {
        context.tell(&why.causes.iter().map(failure::Named::finding).collect::<Vec<_>>());
    }
    context.tell(&logs.unread(&why));
}

/// A line, with its English where a catalog has that.
fn in_both(catalog: &Catalog, line: &str) -> String {
    catalog.in_english(line).map_or_else(|| line.to_owned(), |english| format!("{line} (in English: {english})"))
}

/// The present time.
pub(in crate::commands) fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(since.as_micros().try_into().unwrap_or(i64::MAX))
}

/// Where libvirt writes the log of a domain.
fn path(context: &Context, name: &str) -> String {
    let folder = if context.uri().is_session() {
        let of = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache"))).unwrap_or_default();
        cache.join("libvirt/qemu/log").display().to_string()
    } else {
        "/var/log/libvirt/qemu".to_owned()
    };
    format!("{folder}/{name}.log")
}

/// The messages of libvirt's daemon and of the kernel since a time; absent where there is no journal.
fn journal(since: Option<Moment>) -> Reading<(Vec<LogLine>, Vec<LogLine>)> {
    let since = since.map_or_else(|| format!("-{BACK}s"), |since| format!("@{}", since.later(-60).seconds()));
    let mut argv = vec!["journalctl".to_owned(), "--output=json".to_owned(), "--no-pager".to_owned(), format!("--since={since}")];
    argv.extend(DAEMONS.iter().flat_map(|daemon| [format!("_COMM={daemon}"), "+".to_owned()]));
    argv.extend(["_TRANSPORT=kernel", "+", "_TRANSPORT=audit"].map(str::to_owned));
    match run::output(&argv) {
        Err(error) if error.is::<run::Missing>() => Reading::Absent,
        Err(error) => Reading::Unknown(error.to_string()),
        // It succeeds also where it may show nothing, and says so on its standard error.
        Ok(ran) if ran.success() && ran.stderr.contains("not seeing messages from other users") => {
            Reading::Unknown("journalctl shows this user only its own messages".to_owned())
        }
        Ok(ran) if ran.success() && (!ran.stdout.is_empty() || ran.stderr.trim().is_empty()) => {
            Reading::Known(discovery::journal(&ran.stdout))
        }
        Ok(ran) if ran.last_lines().contains("No journal files were found") => Reading::Absent,
        Ok(ran) => Reading::Unknown(format!("journalctl: {}", ran.last_lines())),
    }
}
