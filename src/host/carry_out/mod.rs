//! Carrying out a plan, and undoing it, through the receipts in /var/lib/vgapt.

mod apply;
mod outputs;
mod proof;
mod receipt;
mod undo;

pub use apply::{Run, noted};
pub use proof::prove_initramfs;
pub use undo::{RestoredFile, Undoing, Which, undo, undoing};
