//! The functions that stay with their host driver until a domain starts, as `--bind start` asked: a list of vgapt's own, which any
//! user may read, so that `check`, `list` and a later `prepare` do not propose to bind them at boot.

use super::bound::Bound;
use super::refusals::only_virtual;
use crate::host::plan::Edits;
use crate::host::request::{Bind, Wanted};
use crate::model::{Finding, Host, PciAddress, Setup};

/// The list.
const AT_START: &str = "/etc/vgapt/at-start";
const HEAD: &str = "# Written by `vgapt prepare --bind start`, taken away by `vgapt undo`: functions that keep their host driver until a\n\
                    # domain starts. `vgapt prepare --bind boot` takes them out.\n";

/// Whether all of these are in the list, and are still the same devices.
pub fn left_for_start(host: &Host, setup: &Setup, functions: &[PciAddress]) -> bool {
    let listed = listed(host, setup);
    !functions.is_empty() && functions.iter().all(|function| listed.iter().any(|bound| bound.address == *function))
}

/// The list with what is wanted now. Virtual functions are never bound at boot, so they need not be in it.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: &Wanted) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let mut left = listed(host, setup);
    left.retain(|bound| !wanted.functions.contains(&bound.address));
    if wanted.bind == Bind::Start && !only_virtual(host, &wanted.functions) {
        left.extend(host.devices(&wanted.functions).map(Bound::of));
    }
    left.sort_by_key(|bound| bound.address);
    if left.is_empty() {
        edits.remove(setup, AT_START, "no device is left for the start of a domain any more")?;
    } else {
        let lines: String = left.iter().map(|bound| format!("{}\n", bound.in_words())).collect();
        edits.write(setup, AT_START, format!("{HEAD}{lines}"), 0o644, "remembers what keeps its host driver until a domain starts")?;
    }
    Ok(edits)
}

/// What is in the list, without what has moved or is gone.
fn listed(host: &Host, setup: &Setup) -> Vec<Bound> {
    let lines = setup.files.text(AT_START).unwrap_or_default().lines();
    lines.filter_map(Bound::from_words).filter(|bound| host.device(bound.address).is_some_and(|device| bound.is_still(device))).collect()
}
