//! Settings that make a domain fast on this host. They are decided in groups; each group is
//! written as a whole, and left unchanged if it was changed manually.

mod change;
pub(super) mod decide;
mod guest;
mod memory;
mod numa;
mod pinning;
mod processor;
pub(super) mod question;
mod regions;
mod sharing;
