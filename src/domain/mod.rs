//! Turns a request into the XML of a libvirt domain. The steps, in reading order:
//!
//! 1. The input: `request/` (the user's request), `profile/` (the settings for a guest system), `record` (vgapt's metadata in
//!    a domain), `base` (the input of one definition).
//! 2. `decide/`: what to write (`spec`, with the elements of `setting` and the names of `alias`), and what prevents it.
//! 3. `write/`: the edits of the XML document.
//! 4. `verify`: whether the domain has what was written; `explain`: why each element exists.
//!
//! Pure code without side effects. No file imports from a later step, except for one check that asks a writer whether the
//! domain has free slots. `domain_xml` reads the XML of any domain.

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

pub use base::{Base, NewDomain, Origin, Purpose};
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
