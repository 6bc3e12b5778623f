//! What makes a domain fast on this very host: decided here in groups of settings, each group
//! written whole, and left alone where somebody else has changed it.

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
