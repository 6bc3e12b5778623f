//! From what is asked for to the XML of a libvirt domain. Pure: [`resolve()`] decides what is to be
//! written ([`Spec`]) and what speaks against it, [`merge()`] writes it into a base.

mod alias;
mod attach;
mod by_hand;
mod checks;
mod commandline;
mod devices;
mod disks;
mod explain;
mod firmware;
mod hostdevs;
mod kept;
mod merge;
mod multifunction;
mod needs;
mod owned;
mod profile;
mod record;
mod remember;
mod request;
mod resolve;
mod setting;
mod settings;
mod spec;
mod template;
mod tuning;
mod variables;

pub use attach::{Replacement, recognise};
pub use checks::{of_functions, of_handover, of_neighbours, of_start};
pub use explain::{Reason, explain};
pub use firmware::matching_vars;
pub use hostdevs::{passed_functions, pci_hostdev};
pub use kept::kept;
pub use merge::merge;
pub use needs::{Needs, Pages, needs};
pub use owned::{Owned, folder as shared_folder};
pub use profile::{Os, Profile};
pub use record::{Passed, Record};
pub use request::{CoreKind, Cpus, DiskCache, Extras, GpuChoice, Network, Request, Screen, Sound, Toggle, Tuning, Without};
pub use resolve::{Base, Purpose, Resolved, resolve};
pub use spec::{Cdrom, Disk, Slot, Spec};
pub use template::template;
pub use tuning::{Change, Group, Processors, pins};
pub use variables::from_variables;
