//! Functions that somebody had passed by hand before vgapt was asked to: they stay when vgapt's own go.

use super::hostdevs::hostdev_of;
use super::remember::words;
use super::resolve::Base;
use super::{Purpose, Record, Spec, alias};
use crate::model::PciAddress;

/// The name under which the record remembers them.
const BY_HAND: &str = "by-hand";

/// Whether a function was there before.
pub(super) fn is_by_hand(record: &Record, function: PciAddress) -> bool {
    let known = record.wrote.get(BY_HAND).map(String::as_str).unwrap_or_default();
    known.split(' ').any(|known| known.parse() == Ok(function))
}

/// What is to be remembered where functions are asked for. One of vgapt's own that has lost its alias is none.
pub(super) fn remembered(base: &Base, spec: &Spec) -> Option<(String, String)> {
    if base.purpose == Purpose::Detach {
        return None;
    }
    let last = base.last.as_ref();
    let was_passed = |function| last.is_some_and(|last| last.passed.iter().any(|passed| passed.address == function));
    let is_ours = |name: String| name.starts_with(alias::GPU) || name.starts_with(alias::PCI);
    let slots = [&spec.cards, &spec.functions].into_iter().flatten().flatten();
    let new = slots.flat_map(|slot| &slot.functions).copied().filter(|function| {
        let hostdev = hostdev_of(base.domain.root(), *function);
        !was_passed(*function) && hostdev.is_some_and(|hostdev| !alias::of(hostdev).is_some_and(is_ours))
    });
    words(base, BY_HAND, new.map(|function| function.to_string()))
}
