//! Preparing a host: a request → a plan → applied, verified, undone.
//!
//! In the order of reading: `request`, `decide` (pure), `plan`, `carry_out`, which writes through [`crate::target`];
//! `text` is what both need to edit texts.

mod carry_out;
mod decide;
mod plan;
mod request;
mod text;

pub use carry_out::{RECEIPTS, Receipt, RestoredFile, Run, Undoing, Which, noted, prove_initramfs, recorded_groups, undo, undoing};
pub use decide::{
    Bound, ExternalBinding, FULL_KERNEL, HOOK_TEXT, MODPROBE, MadeAtBoot, SCRIPT, Whereabouts, bound, calls_hooks, drivers_kept_out,
    hiding, is_shared, kept_out, kvmfr_kept_out, left_for_start, made_at_boot, of_our_kinds, only_virtual, others, plan, removing,
    taken_by_ids, too_many, update_hooks,
};
pub use decide::{initramfs, loaders, modprobe, packages};
pub use plan::{Command, Parameter, Plan, Write, is_ours};
pub use request::{Allow, Bind, Hugepages, PackageUse, PageSize, Shares, VirtualFunctions, Wanted};
