//! Disks, CDs, floppies, and the controllers they sit on.

mod disk;
mod place;
mod translate;
mod write;

pub(super) use translate::translate;
