//! Settings that belong together, and the three ways to merge them: what was written last, what
//! is there now, what is to be written.

use crate::domain::base::Base;
use crate::domain::setting::{self, Change, Group, Setting, Settings};
use crate::domain_xml::are_pinned;
use crate::xml::Element;

/// Whether the request speaks of a group, so that its word counts over anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// It does.
    Of,
    /// It follows from something else.
    NotOf,
}

/// The group as it is asked for, whatever was there.
fn anew(root: Element<'_>, group: Group, put: Vec<Setting>, written: &Settings) -> Change {
    let pins = root.child("cputune").into_iter().flat_map(|tune| tune.children_named("vcpupin"));
    let there = pins.filter_map(|pin| Some(format!("cputune/vcpupin[vcpu={}]", pin.attribute("vcpu")?)));
    let mut take_out: Vec<String> = written.keys().rev().cloned().chain(there).collect();
    take_out.retain(|path| !put.iter().any(|setting| setting.path == *path));
    Change { group, take_out, put }
}

/// Makes a group exactly these settings; `None` where somebody else has taken it over. Elements
/// that were there before vgapt are left as they are.
pub(super) fn change(base: &Base, group: Group, settings: Vec<Setting>, spoken: Spoken) -> Option<Change> {
    let root = base.domain.root();
    let nothing = Settings::new();
    let written = base.last.as_ref().and_then(|last| last.settings.get(&group)).unwrap_or(&nothing);
    if spoken == Spoken::Of {
        return Some(anew(root, group, settings, written));
    }
    let taken_over = group == Group::Pinning && written.is_empty() && are_pinned(root);
    if setting::is_changed(root, written) || taken_over {
        return None;
    }
    let is_free = |setting: &Setting| written.contains_key(&setting.path) || setting::find(root, &setting.path).is_none();
    let put: Vec<Setting> = settings.into_iter().filter(is_free).collect();
    let stays = |path: &String| put.iter().any(|setting| setting.path == *path);
    // The other way round than it was put in, so that what holds others goes last.
    let take_out = written.keys().rev().filter(|path| !stays(path)).cloned().collect();
    Some(Change { group, take_out, put })
}
