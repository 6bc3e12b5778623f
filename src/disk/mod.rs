//! Disk images, through qemu-img and libguestfs: their command lines (pure), the parsing of their output, and files
//! that appear under their name only when they are complete.

pub mod argv;
mod files;
mod image;
mod names;
mod printed;
mod scratch;
mod space;
mod staged;
mod uses;

pub use files::{Listing, beginning, look_into, overlay_format, same_file};
pub use image::{Chain, Image, parse_image, parse_measure};
pub use names::{Location, is_remote, locate, names_in};
pub use printed::{Progress, ProgressReader, complaints, says_locked};
pub use scratch::{Leftover, Scratch, directory, sweep};
pub use space::{free_space, is_read_only};
pub use staged::Staged;
pub use uses::{DiskUse, disk_uses, snapshot_paths};
