//! Devices for a domain of somebody else's, and what is put in the place of what disturbs them, to
//! be given back: whether `attach` or `define` gave it the devices.

use crate::domain::base::{Base, Purpose};
use crate::domain::setting::{Group, find};
use crate::domain::spec::{BALLOON, Replacement, Spec, no_balloon};
use crate::xml::Element;

/// Decides what is replaced, or given back.
pub(super) fn decide(base: &Base, spec: &mut Spec) {
    match base.purpose {
        Purpose::Detach => detach(base, spec),
        Purpose::Define | Purpose::Attach => give(base, spec),
    }
}

fn give(base: &Base, spec: &mut Spec) {
    spec.record.attached = base.is_foreign();
    spec.record.replaced = base.last.as_ref().map(|last| last.replaced.clone()).unwrap_or_default();
    let balloon = find(base.domain.root(), BALLOON);
    let has_none = balloon.is_some_and(is_none);
    // A new domain without the element would get libvirt's own; in one of vgapt's that is there it is somebody's.
    let is_in_the_way = !has_none && if base.is_foreign() { balloon.is_some() } else { base.is_new };
    if spec.record.passed.is_empty() {
        // The last device goes: what was replaced for its sake comes back.
        let replaced = spec.record.replaced.remove(BALLOON).filter(|_| has_none);
        spec.replacements.extend(replaced.map(|source| Replacement { path: BALLOON.to_owned(), source }));
    } else if is_in_the_way {
        let before = balloon.map(|balloon| balloon.source().to_owned()).unwrap_or_default();
        spec.record.replaced.entry(BALLOON.to_owned()).or_insert(before);
        spec.replacements.push(Replacement { path: BALLOON.to_owned(), source: no_balloon().render("", "\n") });
    }
}

fn detach(base: &Base, spec: &mut Spec) {
    let Some(last) = &base.last else { return };
    let root = base.domain.root();
    // What somebody has changed since is theirs.
    let is_as_left = |path: &str| find(root, path).is_some_and(is_none);
    let given_back = last.replaced.iter().filter(|(path, _)| is_as_left(path));
    spec.replacements.extend(given_back.map(|(path, source)| Replacement { path: path.clone(), source: source.clone() }));
    spec.forgets = true;
}

fn is_none(device: Element<'_>) -> bool {
    device.attribute("model").as_deref() == Some("none")
}

/// The groups of settings that a detached domain loses: those that came with the devices. The others were
/// asked for with `define`, and stay like what else it changed.
pub(super) fn groups(base: &Base) -> Vec<Group> {
    let written = base.last.iter().flat_map(|last| last.settings.keys().copied());
    written.filter(|group| matches!(group, Group::Processor | Group::Regions)).collect()
}
