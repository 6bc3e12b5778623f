//! Decides what to write into a domain, and what prevents it.

pub(super) mod checks;
pub(super) mod disks;
pub(super) mod firmware;
pub(super) mod kept;
pub(super) mod needs;
pub(super) mod present;
pub(super) mod remember;
pub(super) mod tuning;
