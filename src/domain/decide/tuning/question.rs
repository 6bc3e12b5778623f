//! The input of the tuning decisions.

use crate::domain::base::Base;
use crate::domain::request::Request;
use crate::model::{Host, Libvirt, PciAddress};

/// The input of the decisions.
pub(crate) struct TuningInput<'a> {
    /// The domain as it is.
    pub(crate) base: &'a Base,
    /// What it is to have.
    pub(crate) wanted: &'a Request,
    /// The host.
    pub(crate) host: &'a Host,
    /// What libvirt can.
    pub(crate) libvirt: &'a Libvirt,
    /// The PCI functions that are passed through.
    pub(crate) passed: Vec<PciAddress>,
}

impl TuningInput<'_> {
    /// Whether the domain is created from one of vgapt's templates, so that it is tuned too.
    pub(super) fn is_ours(&self) -> bool {
        self.base.profile.is_some()
    }

    /// Whether it was made from one of them, now or before. What was written of a group does not say it: a group of which
    /// nothing was written is not in the record.
    pub(super) fn is_of_template(&self) -> bool {
        self.is_ours() || self.base.last.as_ref().is_some_and(|last| last.template.is_some())
    }
}
