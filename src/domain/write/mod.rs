//! Writes the decisions into a domain.

pub(super) mod attach;
pub(super) mod cells;
mod devices;
mod disks;
pub(super) mod hostdevs;
pub(super) mod merge;
mod multifunction;
mod owned;
mod setting;
mod settings;
