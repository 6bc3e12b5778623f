//! Receipts in /var/lib/vgapt: each change to the host is recorded before it is made.

mod record;
mod store;

pub(super) use record::{CommandRecord, FORMAT, FileRecord, Made, Progress, Receipt, StoredContent};
pub(super) use store::{Receipts, Store};
