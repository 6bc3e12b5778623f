//! Adds and removes elements without an alias.

use super::devices::insert_behind;
use crate::domain::setting::{PathStep, Setting, steps};
use crate::xml::{Document, Element, Fragment, Id};

/// The order of the child elements of an element, as libvirt writes them.
const ORDER: [(&str, &[&str]); 5] = [
    (
        "domain",
        &[
            "name",
            "uuid",
            "genid",
            "title",
            "description",
            "metadata",
            "maxMemory",
            "memory",
            "currentMemory",
            "memoryBacking",
            "vcpu",
            "iothreads",
            "cputune",
            "numatune",
            "resource",
            "os",
            "features",
            "cpu",
            "clock",
            "on_poweroff",
            "on_reboot",
            "on_crash",
            "pm",
            "devices",
        ],
    ),
    ("memoryBacking", &["hugepages"]),
    ("os", &["type", "loader", "nvram"]),
    ("cpu", &["model", "vendor", "topology"]),
    ("devices", &["emulator"]),
];

/// Attributes that libvirt's schema requires when an element is created only for its children: element, attribute, and
/// the value that corresponds to a missing element.
const REQUIRED: [(&str, &str, &str); 1] = [("clock", "offset", "utc")];

/// The elements that precede this child of `<domain>`.
pub(super) fn before(name: &str) -> &'static [&'static str] {
    let (_, order) = ORDER[0];
    order.iter().position(|other| *other == name).map_or(&[], |place| &order[..place])
}

/// Adds a child of `<domain>` after these elements if it is missing. [`put`] would choose another place; this is where
/// vgapt has always written it.
pub(super) fn ensure(domain: &mut Document, name: &str, behind: &[&str]) {
    if domain.root().child(name).is_none() {
        let root = domain.root().id();
        insert_behind(domain, root, &Fragment::new(name), behind);
    }
}

/// Writes an element, with its parents if they are missing.
pub(super) fn put(domain: &mut Document, setting: &Setting) -> Id {
    let mut at = domain.root().id();
    for step in steps(&setting.path) {
        at = match step.below(domain.element(at)).map(Element::id) {
            Some(child) => child,
            None => insert(domain, at, &step),
        };
    }
    for (name, value) in &setting.says {
        match name.as_str() {
            "" => domain.set_text(at, value),
            name => domain.set_attribute(at, name, value),
        }
    }
    at
}

/// Inserts an element after those that precede it in libvirt's order and after others of its name, else at the end. An
/// element that comes first in that order is inserted first.
fn insert(domain: &mut Document, parent: Id, step: &PathStep<'_>) -> Id {
    let name = domain.element(parent).name();
    let order = ORDER.iter().find(|(of, _)| *of == name).map(|(_, order)| *order);
    let place = order.and_then(|order| Some((order, order.iter().position(|name| *name == step.name)?)));
    let first = domain.element(parent).children().next().map(Element::id);
    match (place, first) {
        (Some((_, 0)), Some(first)) => domain.insert_before(first, &fragment(step)),
        _ => {
            let before = place.map_or(&[][..], |(order, place)| &order[..place]);
            let behind: Vec<&str> = before.iter().copied().chain([step.name]).collect();
            insert_behind(domain, parent, &fragment(step), &behind);
        }
    }
    // An insertion does not change the ids of the elements before it, nor the parent's.
    step.below(domain.element(parent)).map_or(parent, Element::id)
}

/// Removes an element, and its parents if they become empty.
pub(super) fn remove(domain: &mut Document, path: &str) {
    let steps = steps(path);
    for length in (1..=steps.len()).rev() {
        let Some(element) = steps[..length].iter().try_fold(domain.root(), |parent, step| step.below(parent)) else { return };
        let own = length == steps.len();
        let is_bare = own || element.attribute_names().next().is_none();
        if element.children().next().is_some() || !is_bare || element.name() == "devices" {
            return;
        }
        let id = element.id();
        domain.remove(id);
    }
}

fn fragment(step: &PathStep<'_>) -> Fragment {
    let required = REQUIRED.iter().filter(|(name, ..)| *name == step.name);
    let fragment = required.fold(Fragment::new(step.name), |fragment, (_, name, value)| fragment.with(name, value));
    match step.only {
        Some((name, value)) => fragment.with(name, value),
        None => fragment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::setting::says;

    #[test]
    fn what_is_put_in_comes_out() {
        let before = "<domain>\n  <vcpu>2</vcpu>\n  <os/>\n  <cpu mode='x'/>\n</domain>";
        let mut domain = Document::parse(before).unwrap();
        let settings = [
            Setting::new("cputune/vcpupin[vcpu=0]").with("cpuset", "1"),
            Setting::new("cputune/vcpupin[vcpu=1]").with("cpuset", "5"),
            Setting::new("features/ioapic").with("driver", "kvm"),
        ];
        for setting in &settings {
            put(&mut domain, setting);
            assert!(says(domain.root(), &setting.path, &setting.says));
        }
        let with = "<domain>\n  <vcpu>2</vcpu>\n  <cputune>\n    <vcpupin vcpu='0' cpuset='1'/>\n    <vcpupin vcpu='1' cpuset='5'/>\n  </cputune>\n  <os/>\n  <features>\n    <ioapic driver='kvm'/>\n  </features>\n  <cpu mode='x'/>\n</domain>";
        assert_eq!(domain.to_string(), with);
        for setting in &settings {
            put(&mut domain, setting);
        }
        assert_eq!(domain.to_string(), with);
        for setting in settings.iter().rev() {
            remove(&mut domain, &setting.path);
        }
        assert_eq!(domain.to_string(), before);
    }

    #[test]
    fn a_parent_that_is_made_is_valid() {
        let mut domain = Document::parse("<domain>\n  <devices/>\n</domain>").unwrap();
        put(&mut domain, &Setting::new("clock/timer[name=hypervclock]").with("present", "yes"));
        let with = "<clock offset='utc'>\n    <timer name='hypervclock' present='yes'/>\n  </clock>";
        assert!(domain.to_string().contains(with), "{domain}");
        remove(&mut domain, "clock/timer[name=hypervclock]");
        assert!(!domain.to_string().contains("timer"));
        put(&mut domain, &Setting::new("clock").with("offset", "localtime"));
        assert!(domain.to_string().contains("<clock offset='localtime'>"), "{domain}");
    }
}
