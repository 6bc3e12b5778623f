//! What can be passed through: for each graphics card a verdict, what blocks it, and what to do.
//!
//! Pure: decides from a [`crate::model::Host`] and reads nothing.

mod assessment;
mod group;
mod warnings;

pub use assessment::{Assessment, Verdict, assess, clear_choice};
pub use group::{isolation_remedy, missing_iommu};
pub use warnings::of_host;
