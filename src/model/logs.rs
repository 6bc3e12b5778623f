//! Lines of logs, and when they were written.

use super::Reading;

/// A time, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    const SECOND: i64 = 1_000_000;

    /// Seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }

    #[must_use]
    pub fn later(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(Self::SECOND)))
    }

    /// A time at the beginning of a line, and the rest of the line: as libvirt (`2026-11-25 10:11:12.345+0000`), QEMU
    /// (`2026-11-25T10:11:12.345678Z`) and today's rsyslog (`2026-11-25T11:11:12.345678+01:00`) write it. Without a zone
    /// it is no such time.
    pub fn parse(line: &str) -> Option<(Self, &str)> {
        let bytes = line.as_bytes();
        let number =
            |from: usize, to: usize| line.get(from..to).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<i64>().ok();
        let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if bytes.len() < 20 || marks.iter().any(|(at, mark)| bytes[*at] != *mark) || !matches!(bytes[10], b' ' | b'T') {
            return None;
        }
        let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        let mut rest = line.get(19..)?;
        let mut micros = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let text: String = fraction[..digits].chars().chain("000000".chars()).take(6).collect();
            micros = text.parse::<i64>().ok()?;
            rest = &fraction[digits..];
        }
        let (zone, rest) = zone(rest)?;
        Some((Self((seconds - zone) * Self::SECOND + micros), rest))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, second) = (self.seconds().div_euclid(86_400), self.seconds().rem_euclid(86_400));
        let (year, month, day) = date(days);
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
    }
}

/// How many seconds a zone is before UTC, and what follows it.
fn zone(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = text.get(1..3)?.parse::<i64>().ok()?;
    let rest = text.get(3..)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = rest.get(..2)?.parse::<i64>().ok()?;
    Some((sign * (hours * 3600 + minutes * 60), &rest[2..]))
}

/// Days since 1970 of a date of the Gregorian calendar; years begin in March, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let (of_era, of_year) = (year.rem_euclid(400), (153 * month + 2) / 5 + day - 1);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day, the inverse of [`days`].
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (number, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, number, of_year - (153 * month + 2) / 5 + 1)
}

/// What libvirt writes before QEMU's command line (`qemuLogOperation` of libvirt's `src/qemu/qemu_domain.c`).
pub const STARTING: &str = ": starting up libvirt version";

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written; `None` where its log does not say that, or not in which zone.
    pub at: Option<Moment>,
    pub text: String,
}

/// What was read of a log, and of the files that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLog {
    pub lines: Vec<LogLine>,
    /// Known where nothing is missing; else why a part or all of it is.
    pub complete: Reading<()>,
}

impl ReadLog {
    pub fn whole(lines: Vec<LogLine>) -> Self {
        Self { lines, complete: Reading::Known(()) }
    }
}

impl From<Reading<Vec<LogLine>>> for ReadLog {
    fn from(reading: Reading<Vec<LogLine>>) -> Self {
        match reading {
            Reading::Known(lines) => Self::whole(lines),
            Reading::Absent => Self { lines: Vec::new(), complete: Reading::Absent },
            Reading::Unknown(because) => Self { lines: Vec::new(), complete: Reading::Unknown(because) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs() {
        // As `date -u -d … +%s` prints them.
        for (line, seconds, rest) in [
            ("2026-11-25 10:11:12.345+0000: starting up", 1_795_601_472, ": starting up"),
            ("2026-11-25T10:11:12.345678Z qemu", 1_795_601_472, " qemu"),
            ("2026-11-25T11:41:12.345678+01:30 host", 1_795_601_472, " host"),
            ("2024-02-29 23:59:59-0100 x", 1_709_254_799, " x"),
            ("1970-01-01T00:00:00Z", 0, ""),
        ] {
            let (at, left) = Moment::parse(line).unwrap();
            assert_eq!((at.seconds(), left), (seconds, rest), "{line}");
        }
        for line in ["", "Nov 25 10:11:12 host x", "2026-11-25 10:11:12 no zone", "2026-11-25é10:11:12Z", "2026-11-25T10:11:1é.0Z"] {
            assert_eq!(Moment::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_time_is_printed_as_it_is_read() {
        for text in ["2026-11-25 10:11:12 UTC", "2024-02-29 23:59:59 UTC", "2000-03-01 00:00:00 UTC", "1999-12-31 12:00:00 UTC"] {
            let (at, _) = Moment::parse(&text.replace(" UTC", "Z")).unwrap();
            assert_eq!(at.to_string(), text);
        }
    }
}
