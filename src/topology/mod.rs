//! Which of the host's CPUs a guest uses, and how it sees them. Pure: a topology and a request in,
//! a [`Pinning`] out.
//!
//! The laws: whole cores only, with their siblings in the guest's order; one L3 cache if the guest
//! fits, the larger one; performance cores unless others are requested; the NUMA node of the card;
//! the host's first core stays with the host.

mod caches;
mod choice;
mod core;
mod pinning;

pub use self::core::{Core, cores, kinds};
pub use caches::are_hosts_caches;
pub use pinning::{CoreKinds, Count, GuestTopology, NO_SUCH_CORES, Pinning, PinningError, PinningRequest, pin, seen_on};
