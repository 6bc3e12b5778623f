//! Why a domain did not start, or ended: what the logs say, and what is known of it.
//!
//! Pure. A cause is an entry in `causes/`: the line of a log that names it, in words the reason and the remedy, and where
//! the line comes from. A line that no entry knows is shown as it is.

mod catalog;
mod causes;
mod log;
mod pattern;
mod run;
mod why;

pub use catalog::Catalog;
pub use log::Log;
pub use run::{End, Run};
pub use why::{Excerpt, Happened, Input, Named, Why, why};
