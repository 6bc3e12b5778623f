//! Is a host ready for a guest with its card, and if not, what exactly is missing?
//!
//! Pure: turns what was read into checks, each with what was found, why it matters and the remedy. One
//! file for each topic; a new check is a function there and a line in `report.rs`.

mod binding;
mod boot;
mod cards;
mod check;
mod facts;
mod groups;
mod hook;
mod images;
mod iommufd;
mod isolation;
mod kernel_log;
mod kernels;
mod kvmfr;
mod memory;
mod next;
mod next_kernel;
mod platform;
mod report;
mod software;
mod virtual_functions;

pub use check::{Check, CheckState, NextStep, Topic};
pub use facts::{Input, meant, proposed_bind};
pub use images::images;
pub use kernel_log::{Cause as KernelCause, kernel_cause};
pub use next::{DomainState, Stage, elsewhere, of_domain};
pub use next_kernel::{NextKernel, next_kernel, options_of};
pub use report::{Report, check, check_next};
