//! The logs in which a failed start leaves traces: of libvirt for one domain, of its daemon, of the kernel.

use serde_json::Value;

use super::kernel_log;
use crate::model::{LogLine, Moment, ReadLog, Reading, STARTING};
use crate::root::Root;

/// The longest line that is kept: longer ones are QEMU's own command line.
const LONGEST: usize = 2000;
/// The logs of a daemon that is configured to write its own (`log_outputs` of libvirtd.conf(5)), and of syslog.
const OF_DAEMON: [&str; 5] =
    ["/var/log/libvirt/virtqemud.log", "/var/log/libvirt/libvirtd.log", "/var/log/syslog", "/var/log/messages", "/var/log/daemon.log"];
/// Where syslog writes what the kernel logs, and where auditd writes what `AppArmor` and `SELinux` denied.
const OF_KERNEL: [&str; 4] = ["/var/log/kern.log", "/var/log/syslog", "/var/log/messages", "/var/log/audit/audit.log"];
/// Kinds of packing that are not unpacked.
const PACKED: [&str; 4] = [".xz", ".zst", ".bz2", ".lz4"];
/// The daemons that start domains, as they are called in syslog.
const DAEMONS: [&str; 2] = ["libvirtd", "virtqemud"];

/// What libvirt writes for one domain: QEMU's command line, what QEMU prints, and how it ended. A line without a time
/// belongs to the one before it. The log is renamed when it is long; the beginning of the last run may be in the older file.
pub fn domain_log(root: &Root, path: &str) -> ReadLog {
    let (newest, is_part) = match root.end_of(path) {
        Reading::Known(read) => read,
        Reading::Absent => return Reading::Absent.into(),
        Reading::Unknown(because) => return Reading::Unknown(because).into(),
    };
    let part = |because| ReadLog { lines: with_times(&newest), complete: Reading::Unknown(because) };
    match root.end_of(&format!("{path}.0")) {
        _ if newest.contains(STARTING) => ReadLog::whole(with_times(&newest)),
        _ if is_part => part(only_the_end(path)),
        Reading::Known((older, _)) => ReadLog::whole(with_times(&(older + &newest))),
        Reading::Absent => ReadLog::whole(with_times(&newest)),
        Reading::Unknown(because) => part(because),
    }
}

fn with_times(text: &str) -> Vec<LogLine> {
    let mut last = None;
    let line = |line: &str| {
        let at = Moment::parse(line).map(|(at, _)| at).or(last);
        last = at;
        LogLine { at, text: shortened(line) }
    };
    text.lines().map(line).collect()
}

fn only_the_end(path: &str) -> String {
    format!("{path} is so long that only its end was read")
}

/// The daemon's messages in text files.
pub fn daemon_log(root: &Root) -> ReadLog {
    all(root, &OF_DAEMON, |path, line| {
        let (at, rest) = Moment::parse(line).map_or((None, line), |(at, rest)| (Some(at), rest));
        // Its own log: `: 1234: error : virFunction:12 : message`.
        if path.starts_with("/var/log/libvirt/") {
            let message = rest.splitn(3, " : ").nth(2).filter(|_| rest.contains(": error : ") || rest.contains(": warning : "));
            return message.map(|message| LogLine { at, text: shortened(message) });
        }
        let (_, message) = DAEMONS.iter().find_map(|daemon| rest.split_once(&format!(" {daemon}[")))?;
        Some(LogLine { at, text: shortened(message.split_once("]: ")?.1) })
    })
}

/// The kernel's messages with their times: of this boot, or what syslog and auditd have written.
pub fn kernel_log_with_times(root: &Root) -> ReadLog {
    let buffer = kernel_log::with_times(root);
    let kept = all(root, &OF_KERNEL, |path, line| {
        if path.ends_with("/audit.log") {
            return line.contains("denied").then(|| LogLine { at: kernel_log::audited(line), text: shortened(line) });
        }
        let (head, text) = line.split_once(" kernel: ")?;
        let at = Moment::parse(head).map(|(at, _)| at).or_else(|| kernel_log::audited(text));
        Some(LogLine { at, text: shortened(kernel_log::plain(text)?) })
    });
    match buffer {
        // The kernel's own buffer has it all since the host booted; the files have what was before.
        Reading::Known(mut lines) => {
            lines.extend(kept.lines);
            ReadLog::whole(lines)
        }
        Reading::Unknown(because) if kept.lines.is_empty() => Reading::Unknown(because).into(),
        Reading::Absent | Reading::Unknown(_) => kept,
    }
}

/// What a log was until it was rotated: `NAME.1`; with dates, as on Fedora and openSUSE, the latest `NAME-20261120`
/// (logrotate(8): `compress`, `dateext`). A file of another kind of packing is among them, and cannot be read.
fn rotated(root: &Root, path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let names = root.names(folder);
    let is_next = |rest: &str| rest == ".1" || rest.starts_with(".1.");
    let is_dated = |rest: &str| rest.strip_prefix('-').is_some_and(|date| date.starts_with(|first: char| first.is_ascii_digit()));
    let next = names.iter().find(|other| other.strip_prefix(name).is_some_and(is_next));
    // Names with dates are sorted by them.
    let dated = names.iter().filter(|other| other.strip_prefix(name).is_some_and(is_dated)).max();
    next.or(dated).map(|name| format!("{folder}/{name}"))
}

/// The lines of all files that are there, each behind what it was until it was rotated; not complete where one cannot be read,
/// or where none has such lines.
fn all(root: &Root, paths: &[&str], line: impl Fn(&str, &str) -> Option<LogLine>) -> ReadLog {
    let mut log = ReadLog { lines: Vec::new(), complete: Reading::Absent };
    for (path, file) in
        paths.iter().flat_map(|path| rotated(root, path).into_iter().chain([(*path).to_owned()]).map(move |file| (path, file)))
    {
        if PACKED.iter().any(|ending| file.ends_with(ending)) {
            log.complete = Reading::Unknown(format!("{file} is packed in a way that vgapt does not read"));
            continue;
        }
        match root.end_of(&file) {
            Reading::Known((text, is_part)) => {
                let lines: Vec<LogLine> = text.lines().filter_map(|text| line(path, text)).collect();
                if lines.iter().any(|line| line.at.is_none()) {
                    log.complete = Reading::Unknown(format!("{file} does not say the year and the zone of its times"));
                } else if is_part {
                    log.complete = Reading::Unknown(only_the_end(&file));
                } else if log.complete == Reading::Absent && !lines.is_empty() {
                    log.complete = Reading::Known(());
                }
                log.lines.extend(lines);
            }
            Reading::Absent => {}
            Reading::Unknown(because) => log.complete = Reading::Unknown(because),
        }
    }
    log
}

/// The messages of a journal in JSON (`journalctl -o json`): those of the daemon, and those of the kernel.
pub fn journal(text: &str) -> (Vec<LogLine>, Vec<LogLine>) {
    let (mut daemon, mut kernel) = (Vec::new(), Vec::new());
    for entry in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let at = entry["__REALTIME_TIMESTAMP"].as_str().and_then(|micros| micros.parse().ok()).map(Moment);
        let Some(message) = message(&entry["MESSAGE"]) else { continue };
        let is_kernel = matches!(entry["_TRANSPORT"].as_str(), Some("kernel" | "audit"));
        let lines = message.lines().map(|line| LogLine { at, text: shortened(line) });
        if is_kernel { kernel.extend(lines) } else { daemon.extend(lines) }
    }
    (daemon, kernel)
}

/// A field of the journal: a text, or its bytes where it is not printable.
fn message(field: &Value) -> Option<String> {
    match field {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_journal() {
        let text = r#"{"__REALTIME_TIMESTAMP":"1795601472345678","_TRANSPORT":"journal","MESSAGE":"one\ntwo"}
{"__REALTIME_TIMESTAMP":"1795601472345679","_TRANSPORT":"kernel","MESSAGE":[118,102,105,111,10]}
not json
{"_TRANSPORT":"audit","MESSAGE":"three"}
{"MESSAGE":null}"#;
        let (daemon, kernel) = journal(text);
        let texts = |lines: &[LogLine]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        assert_eq!((texts(&daemon), texts(&kernel)), (vec!["one".into(), "two".into()], vec!["vfio".into(), "three".into()]));
        assert_eq!((daemon[1].at.map(Moment::seconds), kernel[1].at), (Some(1_795_601_472), None));
    }
}
