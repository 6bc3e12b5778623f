//! Is a host ready for a guest with its card, and if not, what exactly is missing?
//!
//! Pure: turns what was read into checks, each with what was found, why it matters and the remedy. One
//! file for each topic; a new check is a function there and a line in `report.rs`.

mod binding;
mod boot;
mod cards;
mod check;
mod facts;
mod hook;
mod kernel_log;
mod kernels;
mod memory;
mod platform;
mod report;
mod software;

pub use check::{Check, CheckState, Topic};
pub use facts::{Input, meant};
pub use kernels::images;
pub use report::{Report, check};
