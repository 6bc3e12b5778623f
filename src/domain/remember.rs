//! What is to be remembered of what is written.

use std::collections::{BTreeMap, BTreeSet};

use super::tuning::Settings;
use super::{Base, Group, Spec};

/// What is written into elements that carry no alias.
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
        // For the hook, which moves the host's own processes off the guest's cores.
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

/// Words under a name, with those that were there before; nothing where there are none.
pub(super) fn words(base: &Base, name: &str, new: impl IntoIterator<Item = String>) -> Option<(String, String)> {
    let before = base.last.as_ref().and_then(|last| last.wrote.get(name)).map(String::as_str).unwrap_or_default();
    let all: BTreeSet<String> = before.split_whitespace().map(str::to_owned).chain(new).collect();
    (!all.is_empty()).then(|| (name.to_owned(), all.into_iter().collect::<Vec<_>>().join(" ")))
}

/// The settings that carry no alias, as they will be.
pub(super) fn settings(base: &Base, spec: &Spec) -> BTreeMap<Group, Settings> {
    let mut settings = base.last.as_ref().map(|last| last.settings.clone()).unwrap_or_default();
    for change in &spec.changes {
        settings.insert(change.group, change.written());
    }
    settings.retain(|_, written| !written.is_empty());
    settings
}
