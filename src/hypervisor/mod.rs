//! The interface of the commands to libvirt. The helper program `vgapt-libvirt` (`src/libvirt`) answers, so that
//! nothing here links libvirt.

mod client;
mod error;
mod questions;
mod remedies;
mod values;
mod wire;

pub use client::{READ_ONLY, TIMEOUT_VARIABLE, connect, connect_read_only, parse_answer, parse_greeting};
pub use error::LibvirtError;
pub use questions::Hypervisor;
pub use values::{Defined, Domains, GuestAddress, Known, Pool, Pools, SavedData, Secrets, Snapshot, State, Unread, Volume};
pub use wire::serve;
