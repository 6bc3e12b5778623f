//! Receipts in /var/lib/vgapt: each change to the host is recorded before it is made.

mod record;
mod store;

pub(super) use record::{CommandRecord, FORMAT, FileRecord, Kept, Made, Progress, Receipt};
pub(super) use store::{Receipts, Store, own};
