//! From what is asked for to the XML of a libvirt domain, to be read in this order:
//!
//! 1. What is there: `request/` (what is asked for), `profile/` (what a guest system is to have), `record` (what vgapt
//!    remembers in a domain), `base` (what a definition starts from).
//! 2. `decide/`: what is to be written (`spec`, with the elements of `setting` and the names of `alias`), and what
//!    blocks it.
//! 3. `write/`: the edits of a document that make it so.
//! 4. `verify`: whether it is so; `explain`: why each element is there.
//!
//! Pure. No file imports one of a later step, but that a check asks a writer whether it has room. What a domain's XML
//! says is read in `domain_xml`.

mod request;

mod profile;

mod record;

mod base;

mod alias;
mod setting;
mod spec;

mod decide;

mod write;

mod explain;
mod verify;

pub use base::{Base, Purpose};
pub use decide::checks::devices::{of_functions, of_handover, of_keyboard};
pub use decide::checks::files::{disk_paths, of_disks};
pub use decide::checks::neighbours::{DiskPaths, OtherDomain, of_neighbours, of_others};
pub use decide::checks::resources::of_start;
pub use decide::kept::manual_changes;
pub use decide::needs::{HostResources, needs, passed};
pub use decide::present::present;
pub use decide::resolve::{Resolved, resolve};
pub use explain::{Reason, explain};
pub use profile::file::Profile;
pub use profile::name::Os;
pub use profile::template::template;
pub use record::{Passed, RECORD_FORMAT, RECORD_MARK, Record, unreadable};
pub use request::Request;
pub use request::cpus::Cpus;
pub use request::extras::{DiskCache, DiskFormat, Extras, Sound, Toggle};
pub use request::files::{folder as shared_folder, matching_vars};
pub use request::gpu::GpuChoice;
pub use request::network::Network;
pub use request::screen::Screen;
pub use request::tuning::{CoreKind, Tuning};
pub use request::variables::{from_environment, from_variables};
pub use request::without::Without;
pub use setting::{Change, Group};
pub use spec::{Cdrom, Disk, Owned, Processors, Replacement, Slot, Spec};
pub use verify::differences;
pub use write::attach::recognise;
pub use write::hostdevs::pci_hostdev;
pub use write::merge::merge;
