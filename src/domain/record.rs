//! What vgapt remembers in a domain's metadata: the last request, the ids of what was passed, and
//! what was written into elements that carry no alias.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tuning::Settings;
use super::{Group, Request};
use crate::model::{PciAddress, PciId};
use crate::xml::{Document, Element, Fragment};

/// The namespace of the metadata.
pub(super) const NAMESPACE: &str = "urn:vgapt:domain:1";

/// What vgapt remembers of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The last request, with what it did not say filled in.
    pub request: Request,
    /// The PCI functions that were passed.
    pub passed: Vec<Passed>,
    /// What was written into elements that carry no alias, by their names.
    pub wrote: BTreeMap<String, String>,
    /// Whether the domain is somebody else's, and only its devices are vgapt's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attached: bool,
    /// What stood where vgapt put something else: path and source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) replaced: BTreeMap<String, String>,
    /// The settings that were written, group by group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) settings: BTreeMap<Group, Settings>,
}

/// A PCI function that was passed, and what it was: addresses move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Where it was.
    pub address: PciAddress,
    /// What it is; `None` where the host was not known.
    pub id: Option<PciId>,
    /// Who built its board.
    pub subsystem: Option<PciId>,
}

impl Record {
    /// What a domain's metadata says; `None` where vgapt has not been at work there, or where
    /// somebody made it unreadable.
    pub fn of(domain: &Document) -> Option<Self> {
        serde_json::from_str(element(domain)?.text()).ok()
    }

    /// The metadata element for it.
    pub(super) fn fragment(&self) -> Fragment {
        Fragment::new("vgapt:domain").with("xmlns:vgapt", NAMESPACE).text(self.text())
    }

    pub(super) fn text(&self) -> String {
        // Plain data with string keys always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// vgapt's element in a domain's metadata.
pub(super) fn element(domain: &Document) -> Option<Element<'_>> {
    domain.root().child("metadata")?.children().find(|child| child.namespace().as_deref() == Some(NAMESPACE))
}
