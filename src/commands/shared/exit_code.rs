//! The exit codes.

/// Blocked, or not ready.
pub(crate) const BLOCKED: u8 = 1;
/// Wrong usage; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// Exit code: failed.
pub(crate) const FAILED: u8 = 3;
/// Exit code: the domain was started, but its guest was not up within the time limit.
pub(crate) const TIMED_OUT: u8 = 4;
/// Exit code: interrupted; the code that shells report for Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Each with its meaning, for the help and the manual.
pub(crate) const MEANINGS: [(u8, &str); 6] = [
    (0, "success"),
    (BLOCKED, "blocked or not ready"),
    (USAGE, "wrong usage"),
    (FAILED, "failed"),
    (TIMED_OUT, "guest not up in time"),
    (INTERRUPTED, "interrupted"),
];

/// All of them, for the help.
pub(crate) fn in_a_line() -> String {
    let each: Vec<String> = MEANINGS.iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
    format!("Exit codes: {}.", each.join(", "))
}
