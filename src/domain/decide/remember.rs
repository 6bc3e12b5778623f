//! What the record stores about the changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::record::{BY_HAND, SINGLE_FUNCTIONS};
use crate::domain::setting::{Group, Settings};
use crate::domain::spec::Spec;
use crate::domain_xml::{alias_of, hostdev_of, is_first, joinable, on_slot, place};
use crate::xml::{Document, Element};

/// The values written into elements without an alias.
pub(super) fn wrote(base: &Base, spec: &Spec) -> BTreeMap<String, String> {
    let mut wrote = base.last.as_ref().map(|last| last.wrote.clone()).unwrap_or_default();
    let now = [
        ("memory", spec.memory.map(|memory| memory.to_string())),
        ("cpus", spec.cpus.map(|cpus| cpus.count.to_string())),
        ("hugepages", spec.hugepages.map(|wanted| wanted.to_string())),
        ("emulator", spec.emulator.clone()),
        ("loader", spec.firmware.as_ref().map(|firmware| firmware.code.clone())),
        ("nvram-template", spec.firmware.as_ref().map(|firmware| firmware.vars.clone())),
    ];
    if let Some(placed) = &spec.placed {
        // Used by libvirt's hook, which moves host processes off the guest's cores.
        let cpus = [("guest-cpus", &placed.taken), ("host-cpus", &placed.emulator), ("nodes", &placed.nodes)];
        wrote.extend(cpus.map(|(name, set)| (name.to_owned(), set.to_string())));
    } else if spec.changes.iter().any(|change| change.group == Group::Pinning) {
        wrote.retain(|name, _| !matches!(name.as_str(), "guest-cpus" | "host-cpus" | "nodes"));
    }
    if base.profile.is_some() {
        wrote.insert("template".to_owned(), base.wanted.os.clone().unwrap_or_default().to_string());
    }
    wrote.extend(now.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    wrote
}

/// A record entry with these words added to the former ones; `None` if there are no words.
fn words(base: &Base, name: &str, new: impl IntoIterator<Item = String>) -> Option<(String, String)> {
    let before = base.last.as_ref().and_then(|last| last.wrote.get(name)).map(String::as_str).unwrap_or_default();
    let all: BTreeSet<String> = before.split_whitespace().map(str::to_owned).chain(new).collect();
    (!all.is_empty()).then(|| (name.to_owned(), all.into_iter().collect::<Vec<_>>().join(" ")))
}

/// The settings without an alias, after the changes.
pub(super) fn settings(base: &Base, spec: &Spec) -> BTreeMap<Group, Settings> {
    let mut settings = base.last.as_ref().map(|last| last.settings.clone()).unwrap_or_default();
    for change in &spec.changes {
        settings.insert(change.group, change.written());
    }
    settings.retain(|_, written| !written.is_empty());
    settings
}

/// The functions that were passed through by hand before vgapt: they stay in the domain when vgapt removes
/// its own. A function that vgapt added does not count, even if its alias was lost.
pub(super) fn by_hand(base: &Base, spec: &Spec) -> Option<(String, String)> {
    if base.purpose == Purpose::Detach {
        return None;
    }
    let last = base.last.as_ref();
    let was_passed = |function| last.is_some_and(|last| last.passed.iter().any(|passed| passed.address == function));
    let is_ours = |name: String| name.starts_with(alias::GPU) || name.starts_with(alias::PCI);
    let slots = [&spec.cards, &spec.functions].into_iter().flatten().flatten();
    let new = slots.flat_map(|slot| &slot.functions).copied().filter(|function| {
        let hostdev = hostdev_of(base.domain.root(), *function);
        !was_passed(*function) && hostdev.is_some_and(|hostdev| !alias_of(hostdev).is_some_and(is_ours))
    });
    words(base, BY_HAND, new.map(|function| function.to_string()))
}

/// The guest slots whose first function had no `multifunction` attribute before functions were added to a domain that
/// vgapt does not manage.
pub(super) fn single_functions(base: &Base, spec: &Spec) -> Option<(String, String)> {
    let slots = [&spec.cards, &spec.functions].into_iter().flatten().flatten();
    if !base.is_unmanaged() || base.purpose == Purpose::Detach || slots.count() == 0 {
        return None;
    }
    words(base, SINGLE_FUNCTIONS, single(&base.domain))
}

/// The slots of a domain with a single function and without the attribute: `0:2`, `3:0`.
fn single(domain: &Document) -> Vec<String> {
    let is_unmanaged = |device| alias_of(device).is_none_or(|name| !name.starts_with(alias::OURS));
    let is_silent = |address: &Element<'_>| is_first(*address) && address.attribute("multifunction").is_none();
    let places: BTreeSet<(u32, u32)> = joinable(domain.root(), is_unmanaged).filter(is_silent).filter_map(place).collect();
    let is_alone = |place: &&(u32, u32)| on_slot(domain.root(), **place).count() == 1;
    places.iter().filter(is_alone).map(|(bus, slot)| format!("{bus}:{slot}")).collect()
}
