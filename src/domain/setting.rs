//! An element that vgapt puts into a domain and that carries no alias: where it is, and what it says.

use std::collections::BTreeMap;

use super::devices::insert_behind;
use crate::xml::{Document, Element, Fragment, Id};

/// What stands in a domain before what, as libvirt writes it.
const ORDER: [&str; 24] = [
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
];

/// What libvirt's schema wants of an element that is made for what is in it, and what the element means without
/// being there.
const REQUIRED: [(&str, &str, &str); 1] = [("clock", "offset", "utc")];

/// The attributes of an element; its text is under the empty name.
pub(super) type Says = BTreeMap<String, String>;

/// An element that is to be there, and what it is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// From the root: `cputune/vcpupin[vcpu=0]`.
    pub(super) path: String,
    /// Attributes, and the text under the empty name.
    pub(super) says: Says,
}

impl Setting {
    /// An empty element at this place.
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), says: Says::new() }
    }

    /// With an attribute.
    #[allow(clippy::needless_pass_by_value)] // Values are written as they come.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.says.insert(name.to_owned(), value.to_string());
        self
    }
}

/// `name`, or `name[attribute=value]`.
struct Step<'p> {
    name: &'p str,
    only: Option<(&'p str, &'p str)>,
}

/// The steps of a path; a `/` between brackets is none.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let bracket = rest.find('[').filter(|bracket| rest.find('/').is_none_or(|slash| *bracket < slash));
        let end = match bracket {
            Some(bracket) => rest[bracket..].find(']').map_or(rest.len(), |close| bracket + close + 1),
            None => rest.find('/').unwrap_or(rest.len()),
        };
        let step = &rest[..end];
        let only = bracket.and_then(|bracket| step[bracket + 1..].trim_end_matches(']').split_once('='));
        steps.push(Step { name: &step[..bracket.unwrap_or(end)], only });
        rest = rest[end..].trim_start_matches('/');
    }
    steps
}

impl Step<'_> {
    fn below<'d>(&self, parent: Element<'d>) -> Option<Element<'d>> {
        parent.children_named(self.name).find(|child| {
            let value = |name: &str| child.attribute(name);
            self.only.is_none_or(|(name, wanted)| value(name).is_some_and(|value| value == wanted))
        })
    }

    fn fragment(&self) -> Fragment {
        let required = REQUIRED.iter().filter(|(name, ..)| *name == self.name);
        let fragment = required.fold(Fragment::new(self.name), |fragment, (_, name, value)| fragment.with(name, value));
        match self.only {
            Some((name, value)) => fragment.with(name, value),
            None => fragment,
        }
    }
}

/// The element at a path.
pub(super) fn find<'d>(root: Element<'d>, path: &str) -> Option<Element<'d>> {
    steps(path).iter().try_fold(root, |parent, step| step.below(parent))
}

/// Whether a domain still says this at a path.
pub(super) fn says(root: Element<'_>, path: &str, said: &Says) -> bool {
    find(root, path).is_some_and(|element| {
        said.iter().all(|(name, value)| match name.as_str() {
            "" => element.text() == value,
            name => element.attribute(name).is_some_and(|now| now == value.as_str()),
        })
    })
}

/// Puts an element in, with what is above it.
pub(super) fn put(domain: &mut Document, setting: &Setting) {
    let mut at = domain.root().id();
    for (depth, step) in steps(&setting.path).iter().enumerate() {
        at = match step.below(domain.element(at)).map(Element::id) {
            Some(child) => child,
            None => insert(domain, at, step, depth),
        };
    }
    for (name, value) in &setting.says {
        match name.as_str() {
            "" => domain.set_text(at, value),
            name => domain.set_attribute(at, name, value),
        }
    }
}

fn insert(domain: &mut Document, parent: Id, step: &Step<'_>, depth: usize) -> Id {
    let place = ORDER.iter().position(|name| *name == step.name).unwrap_or_default();
    let before: &[&str] = if depth == 0 { &ORDER[..place] } else { &[] };
    let behind: Vec<&str> = before.iter().copied().chain([step.name]).collect();
    insert_behind(domain, parent, &step.fragment(), &behind);
    // The ids of what stands before an insertion stay as they were, the parent's too.
    step.below(domain.element(parent)).map_or(parent, Element::id)
}

/// Takes an element out, and what is above it if that is left empty.
pub(super) fn take_out(domain: &mut Document, path: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            take_out(&mut domain, &setting.path);
        }
        assert_eq!(domain.to_string(), before);
    }

    #[test]
    fn a_parent_that_is_made_is_valid() {
        let mut domain = Document::parse("<domain>\n  <devices/>\n</domain>").unwrap();
        put(&mut domain, &Setting::new("clock/timer[name=hypervclock]").with("present", "yes"));
        let with = "<clock offset='utc'>\n    <timer name='hypervclock' present='yes'/>\n  </clock>";
        assert!(domain.to_string().contains(with), "{domain}");
        take_out(&mut domain, "clock/timer[name=hypervclock]");
        assert!(!domain.to_string().contains("timer"));
        put(&mut domain, &Setting::new("clock").with("offset", "localtime"));
        assert!(domain.to_string().contains("<clock offset='localtime'>"), "{domain}");
    }

    #[test]
    fn steps_of_a_path() {
        let text: Vec<String> = steps("devices/a[b=/c/d]/e").iter().map(|step| format!("{} {:?}", step.name, step.only)).collect();
        assert_eq!(text, ["devices None", "a Some((\"b\", \"/c/d\"))", "e None"]);
    }
}
