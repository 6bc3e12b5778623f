//! Is a host ready for a guest with its card, and if not, what exactly is missing?
//!
//! Pure: turns what was read into checks, each with what was found, why it matters and the remedy. One
//! file for each topic; a new check is a function there and a line in `report.rs`.

mod address_width;
mod binding;
mod boot;
mod cards;
mod check;
mod choice;
mod facts;
mod firmware_rom;
mod framebuffer;
mod held;
mod hook;
mod initramfs;
mod interrupts;
mod iommu;
mod kernel_log;
mod libvirt;
mod memory;
mod modules;
mod needs;
mod others;
mod parameters;
mod prepared;
mod processor;
mod report;
mod samba;
mod software;
mod summary;

pub use check::{Check, Group, State, Step};
pub use choice::meant;
pub use facts::Facts;
pub use initramfs::images;
pub use report::{Report, check};
pub use summary::Summary;
