//! Preparing a host: what is wanted of it → a plan → applied, proved, undone.
//!
//! All but `apply` is pure.

mod bind_start;
mod binding;
mod hugepages;
pub mod initramfs;
pub mod loaders;
mod npt;
pub mod packages;
mod parameters;
mod plan;
mod planning;
mod refusals;
mod room;
mod shell;
mod tokens;
mod tpm;
mod wanted;

pub use binding::{Bound, bound};
pub use plan::{Command, Parameter, Plan, Write};
pub use planning::plan;
pub use wanted::{Allow, Bind, Hugepages, PageSize, Wanted};
