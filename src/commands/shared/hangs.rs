//! Drivers that hang, in words.

use anyhow::{Error, Result};

use crate::discovery;
use crate::life;
use crate::model::{Hang, PciAddress};
use crate::root::Root;

/// The drivers that hang.
pub(in crate::commands) fn hangs(root: &Root) -> Result<Vec<Hang>> {
    discovery::hangs(root).map_err(Error::msg)
}

/// What shows why a driver hangs, in one line.
pub(in crate::commands) fn evidence(root: &Root, hang: &Hang) -> String {
    discovery::evidence(root, hang).in_words()
}

/// Why a domain with these functions is not started, if the driver of one of them hangs.
pub(in crate::commands) fn refusal(root: &Root, functions: &[PciAddress]) -> Result<Option<String>> {
    let hang = hangs(root)?.into_iter().find(|hang| functions.contains(&hang.function.address));
    Ok(hang.map(|hang| life::hanging(&hang, &evidence(root, &hang), false)))
}
