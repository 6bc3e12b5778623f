//! From what is asked for to the XML of a libvirt domain. Pure: [`resolve()`] decides what is to be
//! written ([`Spec`]) and what speaks against it, [`merge()`] writes it into a base.

mod alias;
mod checks;
mod devices;
mod disks;
mod hostdevs;
mod kept;
mod merge;
mod needs;
mod record;
mod request;
mod resolve;
mod settings;
mod spec;
mod template;
mod variables;

pub use checks::{of_functions, of_start};
pub use hostdevs::passed_functions;
pub use kept::kept;
pub use merge::merge;
pub use needs::{Needs, Pages, needs};
pub use record::{Passed, Record};
pub use request::{GpuChoice, Os, Request, Without};
pub use resolve::{Base, Resolved, matching_vars, resolve};
pub use spec::{Cdrom, Disk, Slot, Spec};
pub use template::template;
pub use variables::from_variables;
