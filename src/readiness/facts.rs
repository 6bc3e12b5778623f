//! What the checks decide from.

use crate::host::Bind;
use crate::model::{Host, Observed, Setup};
use crate::passthrough::Assessment;

/// What was read, and what is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The machine.
    pub host: &'a Host,
    /// How it is set up.
    pub setup: &'a Setup,
    /// Its present state.
    pub observed: &'a Observed,
    /// The cards that are meant for a guest; see [`super::meant`].
    pub cards: &'a [Assessment],
    /// When they are to be taken from the host.
    pub bind: Bind,
    /// The commands that prepare has noted down for this tree, and nobody has run as far as is known.
    pub noted: &'a [Vec<String>],
    /// Whether guests run in a user's own libvirt.
    pub session: bool,
}
