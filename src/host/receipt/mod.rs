//! What was done to a host, written down before it is done: receipts in /var/lib/vgapt.

mod record;
mod store;

pub(super) use record::{CommandRecord, FORMAT, FileRecord, Kept, Made, Progress, Receipt};
pub(super) use store::{Receipts, Store, own};
