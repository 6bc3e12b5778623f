//! Devices for a domain that vgapt did not define. Elements that conflict with the devices are replaced, and
//! restored when the devices are removed, no matter whether `attach` or `define` added them.

use crate::domain::base::{Base, Purpose};
use crate::domain::setting::{Group, find};
use crate::domain::spec::{BALLOON, Replacement, Spec, no_balloon};
use crate::xml::Element;

/// Decides which elements are replaced or restored.
pub(super) fn decide(base: &Base, spec: &mut Spec) {
    match base.purpose {
        Purpose::Detach => detach(base, spec),
        Purpose::Define | Purpose::Attach => attach(base, spec),
    }
}

fn attach(base: &Base, spec: &mut Spec) {
    spec.record.attached = base.is_unmanaged();
    spec.record.replaced = base.last.as_ref().map(|last| last.replaced.clone()).unwrap_or_default();
    let balloon = find(base.domain.root(), BALLOON);
    let has_none = balloon.is_some_and(is_none);
    // libvirt would add its default balloon to a new domain without the element. In an existing domain defined by vgapt, a
    // balloon was added by the user and stays.
    let is_in_the_way = !has_none && if base.is_unmanaged() { balloon.is_some() } else { base.is_new };
    if spec.record.passed.is_empty() {
        // The last device is removed: restore what was replaced for it.
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
    // Do not touch what the user has changed since.
    let is_as_left = |path: &str| find(root, path).is_some_and(is_none);
    let given_back = last.replaced.iter().filter(|(path, _)| is_as_left(path));
    spec.replacements.extend(given_back.map(|(path, source)| Replacement { path: path.clone(), source: source.clone() }));
    spec.removes_record = true;
}

fn is_none(device: Element<'_>) -> bool {
    device.attribute("model").as_deref() == Some("none")
}

/// The groups of settings that `detach` removes: those that were added for the devices. The other groups were
/// requested with `define` and stay, like everything else that it changed.
pub(super) fn groups(base: &Base) -> Vec<Group> {
    let written = base.last.iter().flat_map(|last| last.settings.keys().copied());
    written.filter(|group| matches!(group, Group::Processor | Group::Regions)).collect()
}
