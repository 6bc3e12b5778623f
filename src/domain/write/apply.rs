//! Applies edits to a domain. Applied twice, an edit changes nothing the second time.

use crate::domain::alias;
use crate::domain::edit::{Change, Edit, Part, PathStep, Place, Written, says, steps};
use crate::domain_xml::{QEMU_NAMESPACE, commandline_of, device_with_alias, devices_with_alias, options_of};
use crate::xml::{Document, Element, Fragment, Id};

/// The domain as it will be, while the edits are decided: a later edit depends on what earlier ones took.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) domain: Document,
    pub(crate) edits: Vec<Edit>,
    /// What the record will remember.
    pub(crate) written: Written,
}

impl Draft {
    /// Of a domain for which the record remembers this.
    pub(crate) fn of(domain: Document, written: Written) -> Self {
        Self { domain, edits: Vec::new(), written }
    }

    pub(crate) fn root(&self) -> Element<'_> {
        self.domain.root()
    }

    /// Makes an edit and adds it to the list.
    pub(crate) fn apply(&mut self, edit: Edit) {
        self.written.note(&edit, self.domain.root());
        apply(&mut self.domain, &edit);
        self.edits.push(edit);
    }

    /// Removes the devices whose alias starts with `prefix`, except those for which `stays` (called with the rest of the
    /// alias) is true.
    pub(super) fn retain(&mut self, part: Part, prefix: &str, stays: impl Fn(Element<'_>, &str) -> bool) {
        let surplus = devices_with_alias(self.root(), prefix).filter(|(device, rest)| !stays(*device, rest));
        let surplus: Vec<String> = surplus.map(|(_, rest)| format!("{prefix}{rest}")).collect();
        for name in surplus {
            self.apply(Edit { change: Change::Remove, ..Edit::device(part, &name, "") });
        }
    }
}

/// The order of the child elements of an element, as libvirt writes them; but `<memoryBacking>` is where vgapt has always
/// written it.
const ORDER: [(&str, &str); 6] = [
    (
        "domain",
        "name uuid genid title description metadata maxMemory memory currentMemory vcpu memoryBacking iothreads cputune numatune \
         resource os features cpu clock on_poweroff on_reboot on_crash pm devices",
    ),
    ("memoryBacking", "hugepages"),
    ("os", "type loader nvram"),
    ("cpu", "model vendor topology"),
    ("devices", "emulator"),
    ("hostdev", "driver source alias rom"),
];

/// Attributes that libvirt's schema requires when an element is created only for its children: element, attribute, and
/// the value that corresponds to a missing element.
const REQUIRED: [(&str, &str, &str); 1] = [("clock", "offset", "utc")];

pub(super) fn apply(domain: &mut Document, edit: &Edit) {
    let found = edit.place.find(domain.root()).map(Element::id);
    match (&edit.change, found) {
        (Change::Put(said), _) => put(domain, edit, said),
        (Change::Insert(device), None) => {
            let devices = reach(domain, domain.root().id(), "devices");
            insert_behind(domain, devices, device, &[device.name()]);
        }
        (Change::Options { options, with_namespace }, _) => set_options(domain, options, *with_namespace),
        (Change::Replace(source), Some(id)) => domain.replace(id, source),
        (Change::Remove, Some(id)) => match edit.path() {
            Some(path) => remove(domain, path, true),
            None => domain.remove(id),
        },
        (Change::Withdraw, Some(_)) => remove(domain, edit.path().unwrap_or_default(), false),
        (Change::Insert(_), Some(_)) | (Change::Replace(_) | Change::Remove | Change::Withdraw, None) => {}
    }
}

/// Options that are there as they are wanted stay where they are.
fn set_options(domain: &mut Document, wanted: &[String], with_namespace: bool) {
    let value = |element: Element<'_>| element.attribute("value").unwrap_or_default().into_owned();
    let there: Vec<String> = options_of(domain.root(), alias::OPTIONS).flatten().map(value).collect();
    if there == wanted {
        return;
    }
    let own: Vec<Id> = options_of(domain.root(), alias::OPTIONS).flatten().map(Element::id).collect();
    domain.remove_all(&own);
    if wanted.is_empty() {
        let empty = commandline_of(domain.root()).filter(|element| element.children().next().is_none()).map(Element::id);
        if let Some(empty) = empty {
            domain.remove(empty);
        }
        let is_used = domain.root().children().any(|child| child.name().starts_with("qemu:"));
        if with_namespace && !is_used {
            let root = domain.root().id();
            domain.remove_attribute(root, "xmlns:qemu");
        }
        return;
    }
    let argument = |name: &str, option: &String| Fragment::new(&format!("{name}:arg")).with("value", option);
    let existing = commandline_of(domain.root()).map(|element| (element.id(), element.name().to_owned()));
    if let Some((id, name)) = existing {
        let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
        for option in wanted {
            let argument = if prefix.is_empty() { Fragment::new("arg").with("value", option) } else { argument(prefix, option) };
            domain.append(id, &argument);
        }
    } else {
        let root = domain.root().id();
        domain.set_attribute(root, "xmlns:qemu", QEMU_NAMESPACE);
        let lines = wanted.iter().fold(Fragment::new("qemu:commandline"), |lines, option| lines.child(argument("qemu", option)));
        domain.append(domain.root().id(), &lines);
    }
}

fn put(domain: &mut Document, edit: &Edit, said: &[(String, Option<String>)]) {
    let root = domain.root();
    let at = match &edit.place {
        Place::Path(path) => Some(reach(domain, root.id(), path)),
        Place::Device(alias, below) => device_with_alias(root, alias).map(Element::id).map(|device| reach(domain, device, below)),
        Place::Slot(..) => edit.place.find(root).map(Element::id),
    };
    let Some(at) = at else { return };
    // An amount of memory stays in its unit.
    let is_so = says(domain.element(at), &edit.says());
    for (name, value) in said {
        match value {
            Some(_) if is_so => {}
            Some(text) if name.is_empty() => domain.set_text(at, text),
            Some(value) => domain.set_attribute(at, name, value),
            None => domain.remove_attribute(at, name),
        }
    }
}

/// The element at a path below another one; what is missing is added.
pub(super) fn reach(domain: &mut Document, from: Id, path: &str) -> Id {
    let mut at = from;
    for step in steps(path) {
        at = match step.below(domain.element(at)).map(Element::id) {
            Some(child) => child,
            None => insert(domain, at, &step),
        };
    }
    at
}

/// Inserts an element after those that precede it in libvirt's order and after others of its name, else at the end. An
/// element that comes first in that order is inserted first.
fn insert(domain: &mut Document, parent: Id, step: &PathStep<'_>) -> Id {
    let name = domain.element(parent).name();
    let order = ORDER.iter().find(|(of, _)| *of == name).map_or("", |(_, order)| order);
    let mut behind: Vec<&str> = order.split(' ').collect();
    let place = behind.iter().position(|name| *name == step.name);
    behind.truncate(place.unwrap_or_default());
    behind.push(step.name);
    let first = domain.element(parent).children().next().map(Element::id);
    match first.filter(|_| place == Some(0)) {
        Some(first) => domain.insert_before(first, &fragment(step)),
        None => insert_behind(domain, parent, &fragment(step), &behind),
    }
    // An insertion does not change the ids of the elements before it, nor the parent's.
    step.below(domain.element(parent)).map_or(parent, Element::id)
}

/// Inserts a new child after the last of the siblings in `behind`, else at the end.
fn insert_behind(domain: &mut Document, parent: Id, fragment: &Fragment, behind: &[&str]) {
    let sibling = domain.element(parent).children().filter(|child| behind.contains(&child.name())).last().map(Element::id);
    match sibling {
        Some(sibling) => domain.insert_after(sibling, fragment),
        None => domain.append(parent, fragment),
    }
}

/// Removes an element (if it has children, only `with_children`), and its parents if they become empty.
pub(super) fn remove(domain: &mut Document, path: &str, with_children: bool) {
    let steps = steps(path);
    for length in (1..=steps.len()).rev() {
        let Some(element) = steps[..length].iter().try_fold(domain.root(), |parent, step| step.below(parent)) else { return };
        let has_children = element.children().next().is_some();
        let stays = if length == steps.len() {
            has_children && !with_children
        } else {
            has_children || element.attribute_names().next().is_some() || element.name() == "devices"
        };
        if stays {
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

    fn withdraw(domain: &mut Document, path: &str) {
        apply(domain, &Edit { change: Change::Withdraw, ..Edit::put(Part::Guest, path) });
    }

    #[test]
    fn what_is_put_in_comes_out() {
        let before = "<domain>\n  <vcpu>2</vcpu>\n  <os/>\n  <cpu mode='x'/>\n</domain>";
        let mut domain = Document::parse(before).unwrap();
        let edits = [
            Edit::put(Part::Pinning, "cputune/vcpupin[vcpu=0]").with("cpuset", "1"),
            Edit::put(Part::Pinning, "cputune/vcpupin[vcpu=1]").with("cpuset", "5"),
            Edit::put(Part::Processor, "features/ioapic").with("driver", "kvm"),
        ];
        for edit in &edits {
            apply(&mut domain, edit);
            assert!(edit.place.find(domain.root()).is_some_and(|element| says(element, &edit.says())));
        }
        let with = "<domain>\n  <vcpu>2</vcpu>\n  <cputune>\n    <vcpupin vcpu='0' cpuset='1'/>\n    <vcpupin vcpu='1' cpuset='5'/>\n  </cputune>\n  <os/>\n  <features>\n    <ioapic driver='kvm'/>\n  </features>\n  <cpu mode='x'/>\n</domain>";
        assert_eq!(domain.to_string(), with);
        for edit in &edits {
            apply(&mut domain, edit);
        }
        assert_eq!(domain.to_string(), with);
        for edit in edits.iter().rev() {
            withdraw(&mut domain, edit.path().unwrap());
        }
        assert_eq!(domain.to_string(), before);
    }

    #[test]
    fn a_parent_that_is_made_is_valid() {
        let mut domain = Document::parse("<domain>\n  <devices/>\n</domain>").unwrap();
        apply(&mut domain, &Edit::put(Part::Guest, "clock/timer[name=hypervclock]").with("present", "yes"));
        let with = "<clock offset='utc'>\n    <timer name='hypervclock' present='yes'/>\n  </clock>";
        assert!(domain.to_string().contains(with), "{domain}");
        withdraw(&mut domain, "clock/timer[name=hypervclock]");
        assert!(!domain.to_string().contains("timer"));
        apply(&mut domain, &Edit::put(Part::Guest, "clock").with("offset", "localtime"));
        assert!(domain.to_string().contains("<clock offset='localtime'>"), "{domain}");
    }
}
