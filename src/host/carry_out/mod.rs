//! Carrying out a plan, and undoing it, through the receipts in /var/lib/vgapt.

mod command;
mod file;
mod proof;
mod receipt;
mod run;
mod store;
mod undo;

pub use file::RestoredFile;
pub use proof::prove_initramfs;
pub use receipt::Receipt;
pub use run::Run;
pub use store::{RECEIPTS, noted, recorded_groups};
pub use undo::{Undoing, Which, undo, undoing};
