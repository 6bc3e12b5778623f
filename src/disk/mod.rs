//! Disk images, by way of the real tools: their command lines (pure), what they print, and files
//! that come to be only when they are whole.

pub mod argv;
mod image;
mod leftovers;
mod overlays;
mod progress;
mod scratch;
mod space;
mod staged;
mod uses;

pub use image::{Chain, Image, Measure, parse_chain, parse_measure, says_locked};
pub use leftovers::{Leftover, sweep};
pub use overlays::{candidates, same_file};
pub use progress::{Progress, ProgressReader};
pub use scratch::Scratch;
pub use space::{free_space, is_read_only};
pub use staged::Staged;
pub use uses::{DiskUse, Source, disk_uses};
