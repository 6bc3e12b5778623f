//! Settings that belong together, and the three ways to merge them: what was written last, what
//! is there now, what is to be written.

use std::collections::BTreeMap;

use super::super::pins;
use super::super::resolve::Base;
use super::super::setting::{self, Says, Setting};
use crate::xml::Element;

/// Settings that are decided together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Which CPU of the host each virtual one has, and the emulator's.
    Pinning,
    /// From which NUMA nodes the memory comes.
    Numa,
    /// How the guest sees the processor.
    Processor,
    /// What the guest's system is to have.
    Guest,
    /// The size of the memory's pages.
    Memory,
    /// Room for the memory regions of cards.
    Regions,
    /// What other programs need.
    Sharing,
}

impl Group {
    /// What it is about.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinning => "pinning of the processors",
            Self::Numa => "memory's NUMA node",
            Self::Processor => "processor's features",
            Self::Guest => "guest system's features",
            Self::Memory => "memory's pages",
            Self::Sharing => "shared memory and sound",
            Self::Regions => "cards' memory regions",
        }
    }
}

/// What was written, by the element's path.
pub(in crate::domain) type Settings = BTreeMap<String, Says>;

/// What is to be done to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub(in crate::domain) group: Group,
    /// Elements of vgapt's that go.
    pub(in crate::domain) take_out: Vec<String>,
    /// Elements that come, or change.
    pub(in crate::domain) put: Vec<Setting>,
}

impl Change {
    /// What is to be remembered of it.
    pub(in crate::domain) fn written(&self) -> Settings {
        self.put.iter().map(|setting| (setting.path.clone(), setting.says.clone())).collect()
    }
}

/// Whether somebody changed what vgapt wrote.
pub(in crate::domain) fn is_changed(root: Element<'_>, written: &Settings) -> bool {
    written.iter().any(|(path, said)| !setting::says(root, path, said))
}

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
    let taken_over = group == Group::Pinning && written.is_empty() && pins::are_there(root);
    if is_changed(root, written) || taken_over {
        return None;
    }
    let is_free = |setting: &Setting| written.contains_key(&setting.path) || setting::find(root, &setting.path).is_none();
    let put: Vec<Setting> = settings.into_iter().filter(is_free).collect();
    let stays = |path: &String| put.iter().any(|setting| setting.path == *path);
    // The other way round than it was put in, so that what holds others goes last.
    let take_out = written.keys().rev().filter(|path| !stays(path)).cloned().collect();
    Some(Change { group, take_out, put })
}
