//! Groups of settings, and their three-way merge: what was written last, what
//! the domain has now, and what to write.

use crate::domain::base::Base;
use crate::domain::setting::{self, Change, Group, Setting, Settings};
use crate::domain_xml::are_pinned;
use crate::xml::Element;

/// Whether a group was requested explicitly, so that it overrides manual changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Requested explicitly.
    Requested,
    /// Derived from other settings.
    Derived,
}

/// Replaces the group by the requested settings, including manual changes.
fn replaced(root: Element<'_>, group: Group, put: Vec<Setting>, written: &Settings) -> Change {
    let pins = root.child("cputune").into_iter().flat_map(|tune| tune.children_named("vcpupin"));
    let there = pins.filter_map(|pin| Some(format!("cputune/vcpupin[vcpu={}]", pin.attribute("vcpu")?)));
    let mut remove: Vec<String> = written.keys().rev().cloned().chain(there).collect();
    remove.retain(|path| !put.iter().any(|setting| setting.path == *path));
    Change { group, remove, put }
}

/// Sets a group to exactly these settings; `None` if it was changed manually. Elements that existed
/// before vgapt are left unchanged.
pub(super) fn change(base: &Base, group: Group, settings: Vec<Setting>, origin: Origin) -> Option<Change> {
    let root = base.domain.root();
    let nothing = Settings::new();
    let written = base.last.as_ref().and_then(|last| last.settings.get(&group)).unwrap_or(&nothing);
    if origin == Origin::Requested {
        return Some(replaced(root, group, settings, written));
    }
    let taken_over = group == Group::Pinning && written.is_empty() && are_pinned(root);
    if setting::is_changed(root, written) || taken_over {
        return None;
    }
    let is_free = |setting: &Setting| written.contains_key(&setting.path) || setting::find(root, &setting.path).is_none();
    let put: Vec<Setting> = settings.into_iter().filter(is_free).collect();
    let stays = |path: &String| put.iter().any(|setting| setting.path == *path);
    // In reverse order, so that parents are removed after their children.
    let remove = written.keys().rev().filter(|path| !stays(path)).cloned().collect();
    Some(Change { group, remove, put })
}
