//! What happens when a domain starts and stops, whoever starts it: what it takes from the host is
//! recorded in /run before it is taken, and returned when the domain ends, or at the latest by the
//! next call.
//!
//! One file for each kind of resource; a new one needs a variant of `Taken`.

mod console;
mod display;
mod functions;
mod governor;
mod interrupts;
mod irqbalance;
mod isolation;
mod pages;
mod reset;
mod stages;
mod taken;
mod units;

pub use display::Holders;
pub use functions::{Watch, hanging};
pub use interrupts::{LeftAlone, left_alone};
pub use irqbalance::BalancerSetup;
pub use pages::PagesWanted;
pub use reset::{Climb, climb, last_end, record_end};
pub use stages::{Caller, End, Share, before_start, called, ended, started, unreturned};
pub use taken::{DIRECTORY as TAKEN, Taken};
