//! An IOMMU group as vgapt recorded it when functions of it were prepared or passed through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PciAddress, PciId};

/// An IOMMU group at that time. It is recognised by its members; its number changes and is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedGroup {
    /// The release of the kernel that ran; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// All functions of the group, sorted by address.
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMember {
    pub address: PciAddress,
    /// Its vendor and device id.
    pub id: PciId,
    /// The driver that it had; `None` if it had none, or if that was unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

impl RecordedGroup {
    pub fn has(&self, function: PciAddress) -> bool {
        self.members.iter().any(|member| member.address == function)
    }

    /// Whether it has the same functions, whatever their drivers are.
    pub fn has_members_of(&self, other: &Self) -> bool {
        self.members.iter().map(GroupMember::identity).eq(other.members.iter().map(GroupMember::identity))
    }
}

impl GroupMember {
    /// What it is recognised by.
    pub fn identity(&self) -> (PciAddress, PciId) {
        (self.address, self.id)
    }
}
