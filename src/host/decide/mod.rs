//! From the request and the present state to the plan. Everything here is pure.
//!
//! `planning` asks each of the others for its part of the plan.

mod at_start;
mod binding;
mod boot_pages;
mod bound;
mod checks;
mod drivers;
mod generated;
mod hook;
mod hugepages;
pub mod initramfs;
mod isolation;
mod kernel_install;
mod kvmfr;
pub mod loaders;
pub mod modprobe;
mod mounts;
mod others;
mod overruled;
pub mod packages;
mod parameters;
mod planning;
mod refusals;
mod samba;
mod sourced;
mod update_hook;
mod virtual_functions;

pub use at_start::left_for_start;
pub use binding::SCRIPT;
pub use bound::{Bound, MODPROBE, Whereabouts, bound, taken_by_ids};
pub use drivers::kept_out;
pub use hook::{HOOK_TEXT, calls_hooks};
pub use hugepages::too_many;
pub use kvmfr::kvmfr_kept_out;
pub use others::{ExternalBinding, drivers_kept_out, hiding, of_our_kinds, others, removing};
pub use planning::plan;
pub use refusals::{FULL_KERNEL, only_virtual};
pub use samba::is_shared;
pub use update_hook::update_hooks;
pub use virtual_functions::{MadeAtBoot, made_at_boot};
