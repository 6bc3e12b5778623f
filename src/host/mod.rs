//! Preparing a host: a request → a plan → applied, verified, undone.
//!
//! In the order of reading: `request`, `decide` (pure), `plan`, `carry_out`, which writes through [`crate::target`];
//! `text` is what both need to edit texts.

mod carry_out;
mod decide;
mod plan;
mod request;
mod text;

pub use carry_out::{
    LeftForLater, RECEIPTS, Receipt, RestoredFile, Run, Undoing, Which, left_for_later, prove_initramfs, recorded_groups, undo, undoing,
};
pub(crate) use decide::most_in_hugepages;
pub use decide::{
    Bound, ExternalBinding, HOOK_TEXT, MODPROBE, MadeAtBoot, SCRIPT, bound, calls_hooks, drivers_kept_out, is_shared, kept_out,
    kvmfr_kept_out, made_at_boot, only_virtual, others, plan, removing, update_hooks,
};
pub use decide::{initramfs, loaders, modprobe, packages};
pub use plan::{Command, Parameter, Plan, Write, is_ours};
pub use request::{Allow, Bind, Hugepages, PackageUse, PageSize, Shares, VirtualFunctions, Wanted};
