//! Disk images, through qemu-img and libguestfs: their command lines (pure), the parsing of their output, and files
//! that appear under their name only when they are complete.

pub mod argv;
mod image;
mod leftovers;
mod overlays;
mod progress;
mod scratch;
mod space;
mod staged;
mod uses;

pub use image::{Chain, Image, Measure, Place, complaints, is_remote, parse_image, parse_measure, place_of, says_locked};
pub use leftovers::{Leftover, sweep};
pub use overlays::{Listing, beginning, look_into, names_in, overlay_format, same_file};
pub use progress::{Progress, ProgressReader};
pub use scratch::Scratch;
pub use space::{free_space, is_read_only};
pub use staged::Staged;
pub use uses::{DiskUse, disk_uses, snapshot_paths};
