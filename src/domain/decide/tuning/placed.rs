//! What is decided of the vCPUs.

use crate::domain::edit::Edit;
use crate::domain::spec::Processors;
use crate::model::Finding;
use crate::topology::Pinning;

/// The decision.
#[derive(Default)]
pub(super) struct Placed {
    /// Number and topology to write; `None` leaves them unchanged.
    pub(super) processors: Option<Processors>,
    /// The number, where it was decided.
    pub(super) count: Option<u32>,
    /// Whether the topology that the guest sees is another than the pins would have, and stays.
    pub(super) keeps_topology: bool,
    /// The pinning.
    pub(super) pinning: Option<Pinning>,
    /// Whether anything was decided; else everything stays unchanged.
    pub(super) is_decided: bool,
    /// The elements of the pinning; `None` leaves them unchanged.
    pub(super) edits: Option<Vec<Edit>>,
    /// What changes beside pins that stay.
    pub(super) beside: Vec<Edit>,
    /// Warnings and errors.
    pub(super) findings: Vec<Finding>,
}

impl Placed {
    /// The same with further findings before its own.
    pub(super) fn with(mut self, mut findings: Vec<Finding>) -> Self {
        findings.append(&mut self.findings);
        Self { findings, ..self }
    }
}
