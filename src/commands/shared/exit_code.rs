//! Exit codes other than 0 (success).

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
