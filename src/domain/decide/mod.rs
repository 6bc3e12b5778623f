//! Decides what to write into a domain, and what prevents it.

pub(super) mod checks;
pub(super) mod firmware;
pub(super) mod functions;
pub(super) mod kept;
pub(super) mod moved;
pub(super) mod needs;
pub(super) mod tuning;
