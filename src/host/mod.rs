//! Preparing a host: a request → a plan → applied, verified, undone.
//!
//! Everything is pure except `apply`, `undo` and `life`, which write through `target`: only that turns a path of the
//! host into a file of this machine, and decides whether a command is run.

mod apply;
mod bind_start;
mod binding;
mod files;
mod folder;
mod generated;
mod hook;
mod hugepages;
pub mod initramfs;
mod labels;
pub mod life;
pub mod loaders;
mod merge;
pub mod modprobe;
mod npt;
mod others;
mod overruled;
pub mod packages;
mod parameters;
mod plan;
mod planning;
mod proof;
mod receipt;
mod refusals;
mod room;
mod samba;
mod shell;
mod target;
mod tokens;
mod tpm;
mod undo;
mod wanted;
mod words;

pub use apply::{Run, noted};
pub use bind_start::only_virtual;
pub use binding::{Bound, bound, kept_out};
pub use hook::{HOOK_TEXT, calls_hooks};
pub use others::{ExternalBinding, others, removing};
pub use plan::{Command, Parameter, Plan, Write};
pub use planning::plan;
pub use proof::prove_initramfs;
pub use samba::is_shared;
pub use target::{Lock, Target};
pub use undo::{RestoredFile, Undoing, Which, undo, undoing};
pub use wanted::{Allow, Bind, Hugepages, PageSize, Shares, Wanted};
