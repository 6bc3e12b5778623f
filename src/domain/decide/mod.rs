//! Deciding what is to be written into a domain, and what blocks it.

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
