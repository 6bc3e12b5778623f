//! Decides all groups of settings in turn, and merges each three ways: what was written last, what the domain has now, and
//! what is to be written.

use super::cells::Placement;
use super::placed::Placed;
use super::processor::Placing;
use super::question::TuningInput;
use super::{guest, iommufd, memory, pinning, processor, sharing, staying};
use crate::domain::base::{Base, Purpose};
use crate::domain::edit::{Change, Edit, Part, Policy, Written, find};
use crate::domain::spec::Processors;
use crate::domain_xml::{are_pinned, pinned_to_one};
use crate::model::Finding;
use crate::topology::Pinning;

/// What was decided.
#[derive(Default)]
pub(crate) struct Tuned {
    /// Number and topology of the processors to write; `None` leaves them unchanged.
    pub(crate) processors: Option<Processors>,
    /// Their number, where it was decided.
    pub(crate) count: Option<u32>,
    /// Whether the topology that the guest sees is another than the pins would have, and stays.
    pub(crate) keeps_topology: bool,
    /// The pinning, if it is written.
    pub(crate) pinning: Option<Pinning>,
    /// The edits of all groups.
    pub(crate) edits: Vec<Edit>,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) fn decide(question: &TuningInput<'_>) -> Tuned {
    let base = question.base;
    if base.purpose == Purpose::Detach {
        // What was added for the devices is removed. The other groups were requested with `define` and stay, like everything
        // else that it changed.
        let groups = [(Part::Processor, processor::migratable_again(base)), (Part::Regions, None), (Part::Iommufd, None)];
        let edits = groups.into_iter().filter_map(|(group, put)| change(base, group, put.into_iter().collect())).flatten().collect();
        return Tuned { edits, ..Tuned::default() };
    }
    let Placed { processors, count, keeps_topology, pinning, is_decided, edits: pins, beside, mut findings } = pinning::decide(question);
    let placement = is_decided.then(|| pinning.as_ref().and_then(|pinning| Placement::of_pinning(&question.host.topology, pinning)));
    let placement = placement.map(Option::unwrap_or_default).or_else(|| memory::placed_before(question));
    let numa = memory::numa(question, placement.as_ref());
    let pins =
        pins.and_then(|pins| if staying::are_spoken_of(base) { Some(replaced(base, pins)) } else { change(base, Part::Pinning, pins) });
    // Pins that somebody changed stay, whatever was decided.
    let has_own_cores = if is_decided && pins.is_some() { pinning.is_some() } else { are_pinned(base.domain.root()) };
    let vcpus = match &pinning {
        Some(pinning) if pins.is_some() => pinning.vcpus.clone(),
        _ if has_own_cores => pinned_to_one(base.domain.root()),
        _ => Vec::new(),
    };
    // What the guest sees may change beside pins that stay.
    let is_decided = is_decided || processors.is_some();
    let placing = Placing { is_decided, is_pinned: pinning.is_some(), has_own_cores, vcpus, processors };
    let cards = processor::settings(question, &placing);
    let pinning = pinning.filter(|_| pins.is_some());
    let (numa, of_nodes) = numa.map_or((None, Vec::new()), |nodes| (Some(nodes.edits), nodes.findings));
    let groups = [
        (Part::Numa, numa),
        (Part::Guest, guest::settings(question, is_decided, has_own_cores)),
        (Part::Pages, memory::pages(question, placement.as_ref())),
        (Part::Allocation, memory::allocation(question)),
        (Part::Sharing, sharing::settings(question)),
        (Part::Regions, processor::regions(question)),
        (Part::Iommufd, iommufd::settings(question)),
        (Part::Processor, cards),
    ];
    let others = groups.into_iter().filter_map(|(group, edits)| change(base, group, edits?)).flatten();
    let edits = pins.into_iter().flatten().chain(beside).chain(others).collect();
    findings.extend(of_nodes);
    findings.extend(sharing::too_old(question));
    findings.extend(guest::missing(question));
    findings.extend(iommufd::findings(question));
    Tuned { processors, count, keeps_topology, pinning, edits, findings }
}

/// Replaces the pinning by the requested one, or by none, including what others made or changed.
fn replaced(base: &Base, put: Vec<Edit>) -> Vec<Edit> {
    let root = base.domain.root();
    let named = |name: &'static str, id: &'static str| {
        let pins = root.child("cputune").into_iter().flat_map(move |tune| tune.children_named(name));
        pins.filter_map(move |pin| Some(format!("cputune/{name}[{id}={}]", pin.attribute(id)?)))
    };
    let emulator = root.at("cputune/emulatorpin").map(|_| "cputune/emulatorpin".to_owned());
    let there = named("vcpupin", "vcpu").chain(named("iothreadpin", "iothread")).chain(emulator);
    let written = base.last.as_ref().map(|last| last.written.clone()).unwrap_or_default();
    let former: Vec<String> = written.of(Part::Pinning).rev().map(|(path, _)| path.clone()).chain(there).collect();
    without(Part::Pinning, former, put)
}

/// Sets a group to exactly these elements; `None` if it was changed manually. Elements that existed before vgapt are left
/// unchanged.
fn change(base: &Base, group: Part, mut put: Vec<Edit>) -> Option<Vec<Edit>> {
    let root = base.domain.root();
    let nothing = Written::default();
    let written = base.last.as_ref().map_or(&nothing, |last| &last.written);
    let taken_over = group == Part::Pinning && !written.has(group) && are_pinned(root);
    if written.is_changed(group, root) || taken_over {
        return None;
    }
    let is_ours = |path: &str| written.of(group).any(|(own, _)| own == path);
    // An attribute of an element that is not vgapt's is no element of the group.
    let is_own = |edit: &Edit| edit.policy == Policy::Remembered;
    put.retain(|edit| !is_own(edit) || edit.path().is_some_and(|path| is_ours(path) || find(root, path).is_none()));
    // In reverse order, so that parents are removed after their children.
    Some(without(group, written.of(group).rev().map(|(path, _)| path.clone()).collect(), put))
}

/// Edits that withdraw the former elements of a group that are not put again, and then put the new ones.
fn without(group: Part, mut former: Vec<String>, put: Vec<Edit>) -> Vec<Edit> {
    former.retain(|path| !put.iter().any(|edit| edit.path() == Some(path)));
    let withdraw = |path| Edit { change: Change::Withdraw, ..Edit::put(group, path) };
    former.into_iter().map(withdraw).chain(put).collect()
}
