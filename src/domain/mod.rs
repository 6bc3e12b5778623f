//! Turns a request into the XML of a libvirt domain. The steps, in reading order:
//!
//! 1. The input: `request/` (the user's request), `profile/` (the settings for a guest system), `record` (vgapt's metadata in
//!    a domain), `summary` (what a domain is for its user), `base` (the input of one definition).
//! 2. `resolve`: the whole of a definition. `decide/` says what is to be written (`spec`) and what prevents it.
//! 3. `write/`: what is to be written becomes a list of edits (`edit`, with the names of `alias`), which `merge` repeats on the
//!    base.
//! 4. `verify`: whether the domain has what the edits say; `changes`: what becomes different, in words; `explain`: why each element
//!    exists.
//!
//! Pure code without side effects. No file imports from a later step. `domain_xml` reads the XML of any domain.

mod request;

mod profile;

mod alias;
mod edit;

mod format1;
mod record;

mod summary;

mod base;
mod spec;

mod decide;

mod write;

mod resolve;

mod changes;
mod explain;
mod verify;

pub use base::{Base, NewDomain, Origin, Purpose};
pub use changes::{changes, changes_in_full, folded, without_record};
pub use decide::checks::devices::{PassedTo, of_functions, of_handover, of_keyboard};
pub use decide::checks::files::{disk_paths, of_disks};
pub use decide::checks::neighbours::{DiskPaths, OtherDomain, neighbours, of_neighbours, of_others};
pub use decide::checks::resources::of_start;
pub use decide::kept::{manual_changes, present};
pub use decide::needs::{HostResources, needs, passed};
pub use decide::tuning::iommufd::{IommufdDecision, explain_iommufd};
pub(crate) use edit::Written;
pub use explain::{Reason, explain};
pub use profile::file::{Profile, template};
pub use profile::name::Os;
pub use record::{Passed, RECORD_FORMAT, RECORD_MARK, Record, unreadable};
pub use request::Request;
pub use request::cpus::Cpus;
pub use request::extras::{DiskCache, DiskDiscard, DiskFormat, Display, Extras, IommufdMode, Sound, Toggle};
pub use request::files::{folder as shared_folder, matching_vars};
pub use request::gpu::GpuChoice;
pub use request::network::Network;
pub use request::pci::PciChoice;
pub use request::screen::Screen;
pub use request::tuning::{CoreKind, Tuning};
pub use request::variables::{VARIABLES, from_environment, from_variables};
pub use request::without::Without;
pub use resolve::{Resolved, resolve};
pub use spec::Spec;
pub use summary::{Input, Installer, Network as GuestNetwork, PassedCard, PassedFunction, Picture, Summary};
pub use verify::differences;
pub use write::disks::target_letters;
pub use write::hostdevs::{pci_hostdev, recognise};
pub use write::merge::merge;
