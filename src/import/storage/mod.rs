//! Disks, CDs, floppies, and their controllers.

mod disk;
mod place;
mod translate;
mod write;

pub(super) use translate::translate;
