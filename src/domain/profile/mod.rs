//! Guest systems: one file each in `templates/profiles`, and what the names in it stand for.

mod enlightenments;
mod file;
mod name;

pub(super) use enlightenments::settings as enlightenments;
pub use file::Profile;
pub use name::Os;
