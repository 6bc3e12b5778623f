//! The kernel log: the lines that are relevant for passthrough.

use super::hook::booted;
use crate::model::{LogLine, Moment, Reading};
use crate::root::Root;

/// Its sources: the kernel's buffer, then log files.
const LOGS: [&str; 3] = ["/dev/kmsg", "/var/log/dmesg", "/var/log/kern.log"];

/// A line is relevant if it contains one of these.
const MATTERS: &[&str] = &[
    "DMAR",
    "AMD-Vi",
    "iommu",
    "IOMMU",
    "vfio",
    "vgapt:",
    "can't reserve",
    "D3cold",
    "D3hot",
    "disabled by bios",
    "disabled by BIOS",
    "(by BIOS)",
    "SVM not supported",
    "PCI ROM header",
    "ACS overrides",
    "reset",
    "IRQ remapping",
    "nterrupt remapping",
    "not ready",
    "NVRM",
    "cannot configure SR-IOV",
    "split_lock trap",
    "(Fatal)",
    "blocked for more than",
    "efused to change power state",
];
/// Words in lines about the address of a BAR, together with `BAR ` and `[mem`.
const REGIONS: [&str; 4] = ["no space", "failed to assign", "assigned", "can't claim"];

fn matters(line: &str) -> bool {
    let region = line.contains("BAR ") && line.contains("[mem") && REGIONS.iter().any(|word| line.contains(word));
    region || MATTERS.iter().any(|word| line.contains(word))
}

/// The limit of lines, for faults that are logged over and over.
const MOST_LINES: usize = 500;

/// The relevant lines; `None` if no log could be read.
pub fn read(root: &Root) -> Option<Vec<String>> {
    let text = LOGS.iter().find_map(|path| root.log(path, pick).ok())?;
    Some(text.lines().map(str::to_owned).collect())
}

/// The relevant lines of this boot, without duplicates, time stamps and host names.
fn pick(text: &str) -> String {
    let plain: Vec<&str> = text.lines().filter_map(plain).collect();
    let boot = plain.iter().rposition(|line| line.starts_with("Linux version ")).unwrap_or(0);
    let mut lines: Vec<&str> = Vec::new();
    for line in &plain[boot..] {
        if matters(line) && !line.starts_with("Command line") && lines.len() < MOST_LINES && !lines.contains(line) {
            lines.push(line);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// All lines of this boot, with their times. The kernel's clock stands
/// still while the host sleeps: what was logged after that seems to be older, and is left out rather than taken for newer.
pub(super) fn with_times(root: &Root) -> Reading<Vec<LogLine>> {
    let read = |path: &str| Reading::of(root.log(path, str::to_owned), path);
    let text = match read(LOGS[0]) {
        Reading::Absent => read(LOGS[1]),
        other => other,
    };
    text.then(|text| match booted(root) {
        Some(booted) => Reading::Known(timed(&text, booted)),
        None => Reading::Unknown("cannot read the time of the boot from /proc/stat".to_owned()),
    })
}

fn timed(text: &str, booted: u64) -> Vec<LogLine> {
    let booted = Moment(0).later(booted.try_into().unwrap_or(i64::MAX));
    let lines = text.lines().filter_map(|line| {
        let stamped = stamp(line).and_then(|micros| booted.0.checked_add(micros)).map(Moment);
        Some(LogLine { at: audited(line).or(stamped), text: plain(line)?.to_owned() })
    });
    lines.collect()
}

/// The microseconds after the boot at which a line of `/dev/kmsg` or dmesg was logged.
fn stamp(line: &str) -> Option<i64> {
    if let Some((seconds, micros)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')?.0.trim().split_once('.')) {
        return Some(seconds.parse::<i64>().ok()?.checked_mul(1_000_000)? + micros.parse::<i64>().ok()?);
    }
    line.split_once(';')?.0.split(',').nth(2)?.parse().ok()
}

/// The time in an audit message: `audit(1795601472.345:67)`, in seconds since 1970.
pub(super) fn audited(line: &str) -> Option<Moment> {
    let (_, rest) = line.split_once("audit(")?;
    let seconds = rest.split_once(['.', ':'])?.0.parse::<i64>().ok()?;
    Some(Moment(0).later(seconds))
}

/// The text of a line of `/dev/kmsg` (`6,1,0,-;text`), dmesg, syslog, or without a prefix.
pub(super) fn plain(line: &str) -> Option<&str> {
    if line.starts_with(' ') || line.is_empty() {
        return None; // A continuation of the record above.
    }
    if let Some((head, text)) = line.split_once(';') {
        let numbers = head.split(',').map_while(|field| field.parse::<u64>().ok()).count();
        // Priority, sequence number, time; then flags.
        if numbers >= 3 && !head.contains(' ') {
            return Some(text);
        }
    }
    let text = line.split_once(" kernel: ").map_or(line, |(_, text)| text);
    let stamped = text.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    Some(stamped.filter(|(stamp, _)| stamp.trim().parse::<f64>().is_ok()).map_or(text, |(_, text)| text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_line() {
        let text = "6,339,5140900,-;DMAR: IOMMU enabled\n SUBSYSTEM=pci\n6,340,5140901,-,caller=T1;vfio-pci x\n[    0.512345] AMD-Vi: one\nNov 25 00:00:00 myhost kernel: [    1.0] vgapt: two\n4,3,1,-;other\n[drm] iommu three\n";
        assert_eq!(pick(text), "DMAR: IOMMU enabled\nvfio-pci x\nAMD-Vi: one\nvgapt: two\n[drm] iommu three\n");
        assert_eq!(pick(&pick(text)), pick(text));
    }

    #[test]
    fn only_the_last_boot_counts() {
        assert_eq!(pick("[    0.0] Linux version 6\n[    1.0] vfio old\n[    0.0] Linux version 6\n[    1.0] vfio new\n"), "vfio new\n");
        assert_eq!(pick(""), "");
    }
}
