//! The edits of a domain, one file for each subject; each is made on a draft, and `merge` repeats the list on the base.

pub(super) mod apply;
pub(super) mod balloon;
pub(super) mod basics;
mod cells;
pub(super) mod devices;
pub(super) mod disks;
pub(super) mod hostdevs;
pub(super) mod kvmfr;
pub(super) mod merge;
pub(super) mod window;
