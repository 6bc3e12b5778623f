//! The input of the checks.

use crate::host::Bind;
use crate::model::{Host, Observed, Setup};
use crate::passthrough::Assessment;

/// What was read from the host, and what is requested.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The machine.
    pub host: &'a Host,
    /// How it is set up.
    pub setup: &'a Setup,
    /// Its present state.
    pub observed: &'a Observed,
    /// The cards selected for a guest; see [`super::meant`].
    pub cards: &'a [Assessment],
    /// When they are bound to vfio-pci.
    pub bind: Bind,
    /// The commands that prepare recorded for this tree and that have not been run, as far as is known.
    pub noted: &'a [Vec<String>],
    /// Whether guests run in a user's session libvirt.
    pub session: bool,
}
