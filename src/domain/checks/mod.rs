//! What speaks against a domain before libvirt would say it: at its start, or never.

mod devices;
mod files;
mod guest;
mod neighbours;
mod request;
mod resources;

pub use devices::{of_functions, of_handover, of_keyboard};
pub use files::{disk_paths, of_disks};
pub(super) use files::{no_firmware, no_secure_firmware, other_firmware};
pub(super) use guest::of_guest;
pub use neighbours::{Other, Places, of_neighbours, of_others};
pub(super) use request::of_request;
pub use resources::of_start;
