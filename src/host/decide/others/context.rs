//! What the findings about other bindings are decided from.

use super::external::ExternalBinding;
use crate::host::request::Wanted;
use crate::model::{Host, PciAddress, Setup};

/// The host, the request, and the bindings found.
pub(super) struct BindingContext<'a> {
    pub(super) host: &'a Host,
    pub(super) setup: &'a Setup,
    pub(super) wanted: &'a Wanted,
    /// What vgapt binds.
    pub(super) ours: Vec<PciAddress>,
    /// What others bind.
    pub(super) others: Vec<ExternalBinding>,
}
