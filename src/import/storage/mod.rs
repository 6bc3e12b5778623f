//! Disks, CDs, floppies, and their controllers.

mod boot;
mod disk;
mod place;
mod translate;

pub(super) use translate::translate;
