//! From the request and the present state to the plan. Everything here is pure.
//!
//! `planning` asks each of the others for its part of the plan.

mod allowed;
mod bind_start;
mod binding;
mod bound;
mod drivers;
mod generated;
mod hook;
mod hugepages;
pub mod initramfs;
mod labels;
pub mod loaders;
pub mod modprobe;
mod npt;
mod others;
mod overruled;
pub mod packages;
mod parameters;
mod planning;
mod refusals;
mod room;
mod samba;
mod tpm;
mod update_initramfs;
mod vfio;

pub use bind_start::only_virtual;
pub use bound::{Bound, bound};
pub use hook::{HOOK_TEXT, calls_hooks};
pub(crate) use hugepages::most_in_hugepages;
pub use others::{ExternalBinding, others, removing};
pub use planning::plan;
pub use samba::is_shared;
pub use vfio::kept_out;
