//! Exit codes, beside 0: fine.

/// Something was found against it: blocked, not ready.
pub(crate) const FOUND_AGAINST: u8 = 1;
/// Wrong usage, as clap has it.
pub(crate) const USAGE: u8 = 2;
/// It failed.
pub(crate) const FAILED: u8 = 3;
/// It was started, and was not up when the time was over.
pub(crate) const NOT_IN_TIME: u8 = 4;
/// It was interrupted, as shells count Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
