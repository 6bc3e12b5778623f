//! Settings that make a domain fast on this host. They are decided in groups; each group is
//! written as a whole, and left unchanged if it was changed manually.

mod cells;
pub(crate) mod decide;
mod guest;
pub(crate) mod iommufd;
mod memory;
mod pinning;
mod placed;
mod processor;
pub(crate) mod question;
mod sharing;
mod staying;
