//! The memory balloon reclaims memory from a guest. It is useless with a passed device, because all memory of the guest is
//! pinned (drivers/vfio: every page is mapped for the device). So it is disabled for the devices, and restored with the last.

use super::apply::Draft;
use crate::domain::base::Base;
use crate::domain::edit::{Change, Edit, Part, Policy, find};
use crate::xml::Fragment;

const BALLOON: &str = "devices/memballoon";

/// Disables the balloon if devices are passed, else restores what was there before.
pub(crate) fn balloon(draft: &mut Draft, base: &Base, are_passed: bool) {
    let now = find(draft.root(), BALLOON);
    let has_none = now.is_some_and(|balloon| balloon.attribute("model").as_deref() == Some("none"));
    // libvirt would add its default balloon to a new domain without the element. In an existing domain defined by vgapt, a
    // balloon was added by the user and stays.
    let is_in_the_way = !has_none && if base.is_unmanaged() { now.is_some() } else { base.is_new };
    let none = Fragment::new("memballoon").with("model", "none");
    let edit = |change| Edit { change, ..Edit::put(Part::Balloon, BALLOON) };
    if are_passed && is_in_the_way {
        let change = if now.is_some() { Change::Replace(none.render("", "\n")) } else { Change::Insert(none) };
        draft.apply(edit(change).policy(Policy::Returned));
    } else if !are_passed {
        // What the user has changed since is not touched.
        match draft.written.remove(Part::Balloon, BALLOON).and_then(|entry| entry.before).filter(|_| has_none) {
            // If the element is removed, libvirt may add its default.
            Some(before) if before.is_empty() => draft.apply(edit(Change::Remove).policy(Policy::Helper)),
            Some(before) => draft.apply(edit(Change::Replace(before))),
            None => {}
        }
    }
}
