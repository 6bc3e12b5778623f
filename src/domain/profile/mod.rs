//! Guest systems: one file each in `templates/profiles`, and what the names in it stand for.

pub(super) mod enlightenments;
pub(super) mod file;
pub(super) mod name;
