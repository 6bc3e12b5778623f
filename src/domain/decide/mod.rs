//! Decides what to write into a domain, and what prevents it.

pub(super) mod attach;
pub(super) mod checks;
mod disks;
mod firmware;
pub(super) mod kept;
pub(super) mod needs;
mod owned;
pub(super) mod present;
mod remember;
pub(super) mod resolve;
mod tuning;
