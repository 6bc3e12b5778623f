//! What can be passed through: for each graphics card a verdict, what blocks it, and what to do.
//!
//! Pure: decides from a [`crate::model::Host`] and reads nothing.

mod assessment;
mod choice;
mod dangers;
mod families;
mod group;
mod iommufd;
mod moved;
mod recorded_group;
mod resets;
mod unbinding;
mod verdict;
mod virtual_functions;
mod warnings;

pub use assessment::{Assessment, assess, of_binding};
pub use choice::{Choice, choose, in_the_way, is_hosts_own};
pub use dangers::{
    Danger, DangerKind, dangers, displays_on_vfio, displays_without_driver, has_outlets, is_only_display, keeps_display, last_keyboard_at,
    only_display_remedy,
};
pub use group::{is_soldered, missing_iommu};
pub use iommufd::{IommufdCondition, IommufdUse, has_iommufd_element, iommufd_conditions};
pub use moved::{Recorded, has_picture, places};
pub use recorded_group::{GroupChange, group_changes, record_again, record_groups};
pub use resets::{
    FunctionUser, ResetFacts, Resets, against_reset, ladder, needs_resets, node_device, reset_together, resets, within_reach,
};
pub use unbinding::{services_of, unbinding_order};
pub use verdict::Verdict;
pub use virtual_functions::{SharedOut, VirtualFunction, shared_out};
pub use warnings::{guest_place, of_host};
