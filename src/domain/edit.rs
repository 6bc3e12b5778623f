//! One edit of a domain: what it is for, where it is made, what changes, and what is done about it later. All edits of a
//! definition are one list; the record remembers those of elements without an alias.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alias;
use crate::domain_xml::{device_with_alias, is_first, on_slot, size_of};
use crate::model::Size;
use crate::xml::{Element, Fragment};

/// What an edit is for. What is remembered comes first, in the order in which it is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    Memory,
    Cpus,
    /// Whether the memory is in huge pages.
    Hugepages,
    Firmware,
    Emulator,
    /// Whether the guest sees KVM.
    Hypervisor,
    /// The threads of the disks' queues.
    IoThreads,
    /// The title and the description that virt-manager shows.
    Title,
    Description,
    /// The host CPUs of the vCPUs and the emulator.
    Pinning,
    /// The NUMA nodes of the memory.
    Numa,
    /// The processor as exposed to the guest.
    Processor,
    /// Settings for the guest system.
    Guest,
    /// The size of the memory's pages.
    Pages,
    /// When the memory is allocated.
    Allocation,
    /// Address space for the memory regions (BARs) of cards.
    Regions,
    /// The interface between the passed devices and the IOMMU.
    Iommufd,
    /// Settings that other host programs need.
    Sharing,
    /// The window that shows the guest, and its emulated graphics adapter.
    Display,
    /// The memory balloon, which makes room for passed devices.
    Balloon,
    Identity,
    /// Disks and CD drives.
    Disks,
    Cards,
    /// Other PCI functions.
    Functions,
    Usb,
    /// All other devices with an alias of vgapt's.
    Devices,
    /// Options for QEMU, for which libvirt has no element.
    Options,
}

/// Where an edit is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path from the root: `cputune/vcpupin[vcpu=0]`.
    Path(String),
    /// A path below the device with this alias; an empty one means the device itself.
    Device(String, &'static str),
    /// The address of the first function on a guest slot: bus and slot.
    Slot(u32, u32),
}

/// What an edit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Attributes to set, or to remove (`None`); the empty name stands for the text. A missing element is added.
    Put(Vec<(String, Option<String>)>),
    /// A device to add, if it is missing.
    Insert(Fragment),
    /// The source of an element to write in place of this one.
    Replace(String),
    /// vgapt's options for QEMU, each with its value behind it; none removes them.
    Options {
        options: Vec<String>,
        /// Whether QEMU's namespace is vgapt's too.
        with_namespace: bool,
    },
    /// The element is removed with everything in it.
    Remove,
    /// The element is removed unless others added something to it.
    Withdraw,
}

/// What is done about an edit later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Nothing: it belongs to another edit.
    Helper,
    /// The domain is compared with it after it was written.
    Checked,
    /// It is compared, and recorded: manual changes are recognised and left alone.
    Remembered,
    /// It is compared, and the former element is recorded, to be restored.
    Returned,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) part: Part,
    pub(crate) place: Place,
    pub(crate) change: Change,
    pub(crate) policy: Policy,
}

impl Edit {
    /// An element without an alias, to be remembered.
    pub(crate) fn put(part: Part, path: impl Into<String>) -> Self {
        Self { part, place: Place::Path(path.into()), change: Change::Put(Vec::new()), policy: Policy::Remembered }
    }

    /// What was written into an element before.
    pub(crate) fn again(part: Part, path: &str, entry: &Entry) -> Self {
        entry.says.iter().fold(Self::put(part, path), |edit, (name, value)| edit.with(name, value))
    }

    /// A part of a device with an alias, or the device itself.
    pub(crate) fn device(part: Part, alias: &str, below: &'static str) -> Self {
        Self { part, place: Place::Device(alias.to_owned(), below), change: Change::Put(Vec::new()), policy: Policy::Checked }
    }

    /// A new device with an alias.
    pub(crate) fn insert(part: Part, device: Fragment) -> Self {
        let edit = Self::device(part, alias::of(&device), "");
        Self { change: Change::Insert(device), ..edit }
    }

    #[allow(clippy::needless_pass_by_value)] // Callers pass values of many types.
    pub(crate) fn with(self, name: &str, value: impl ToString) -> Self {
        self.with_or_without(name, Some(value))
    }

    /// With an attribute, or without it.
    pub(crate) fn with_or_without(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Change::Put(said) = &mut self.change {
            said.push((name.to_owned(), value.map(|value| value.to_string())));
        }
        self
    }

    pub(crate) fn text(self, text: impl ToString) -> Self {
        self.with("", text)
    }

    pub(crate) fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The path, if it has no alias.
    pub(crate) fn path(&self) -> Option<&str> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Device(..) | Place::Slot(..) => None,
        }
    }

    /// What the element says afterwards, apart from what is removed.
    pub(crate) fn says(&self) -> Attributes {
        match &self.change {
            Change::Put(said) => said.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
            _ => Attributes::new(),
        }
    }
}

impl Place {
    pub(crate) fn find<'d>(&self, root: Element<'d>) -> Option<Element<'d>> {
        match self {
            Self::Path(path) => find(root, path),
            Self::Device(alias, below) => find(device_with_alias(root, alias)?, below),
            Self::Slot(bus, slot) => on_slot(root, (*bus, *slot)).find(|address| is_first(*address)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Device(alias, "") => write!(f, "the device {alias}"),
            Self::Device(alias, below) => write!(f, "{below} of the device {alias}"),
            Self::Slot(bus, slot) => write!(f, "the first function on slot {bus}:{slot}"),
        }
    }
}

/// The attributes of an element; the empty name stands for its text.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Whether an element has these attributes and this text. Amounts of memory are compared in any unit.
pub(crate) fn says(element: Element<'_>, said: &Attributes) -> bool {
    if let Some(size) = size(said) {
        return size_of(element) == Some(size);
    }
    said.iter().all(|(name, value)| match name.as_str() {
        // `Element::text` ignores white space around a text.
        "" => element.text() == value.trim(),
        name => element.attribute(name).is_some_and(|now| now == value.as_str()),
    })
}

/// The amount of memory, if this is one; vgapt writes KiB only.
pub(crate) fn size(said: &Attributes) -> Option<Size> {
    said.get("unit").filter(|unit| *unit == "KiB")?;
    said.get("")?.parse().ok().map(Size::from_kib)
}

/// Attributes and text for a message.
pub(crate) fn words(said: &Attributes) -> String {
    if let Some(size) = size(said) {
        return size.to_string();
    }
    let word = |(name, value): (&String, &String)| if name.is_empty() { value.clone() } else { format!("{name}='{value}'") };
    said.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The edits of elements without an alias that are in a domain: by part and path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
#[serde(transparent)]
pub(crate) struct Written(BTreeMap<Part, BTreeMap<String, Entry>>);

/// What was written into one element.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Entry {
    /// The attributes and the text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) says: Attributes,
    /// The source of the element that was replaced, to be restored; empty if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
}

impl Written {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything was written for a part.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.0.contains_key(&part)
    }

    /// What was written for a part, by path.
    pub(crate) fn of(&self, part: Part) -> impl DoubleEndedIterator<Item = (&String, &Entry)> {
        self.0.get(&part).into_iter().flatten()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (Part, &BTreeMap<String, Entry>)> {
        self.0.iter().map(|(part, entries)| (*part, entries))
    }

    /// Whether something of a part was changed manually.
    pub(crate) fn is_changed(&self, part: Part, root: Element<'_>) -> bool {
        self.of(part).any(|(path, entry)| !find(root, path).is_some_and(|element| says(element, &entry.says)))
    }

    pub(crate) fn insert(&mut self, part: Part, path: &str, entry: Entry) {
        self.0.entry(part).or_default().insert(path.to_owned(), entry);
    }

    pub(crate) fn remove(&mut self, part: Part, path: &str) -> Option<Entry> {
        let entries = self.0.get_mut(&part)?;
        let entry = entries.remove(path);
        if entries.is_empty() {
            self.0.remove(&part);
        }
        entry
    }

    /// Notes an edit that is about to be made in a domain.
    pub(crate) fn note(&mut self, edit: &Edit, domain: Element<'_>) {
        let Some(path) = edit.path() else { return };
        match (edit.policy, &edit.change) {
            (Policy::Helper | Policy::Checked, _) => {}
            (Policy::Remembered, Change::Put(_)) => self.insert(edit.part, path, Entry { says: edit.says(), before: None }),
            (Policy::Remembered, _) => {
                self.remove(edit.part, path);
            }
            (Policy::Returned, _) => {
                let before = find(domain, path).map(|element| element.source().to_owned()).unwrap_or_default();
                let entries = self.0.entry(edit.part).or_default();
                entries.entry(path.to_owned()).or_insert(Entry { before: Some(before), ..Entry::default() });
            }
        }
    }
}

/// A step of a path: `name`, `name[attribute=value]`, or `name[#=2]` for the third of this name.
pub(crate) struct PathStep<'p> {
    pub(crate) name: &'p str,
    pub(crate) only: Option<(&'p str, &'p str)>,
}

/// The steps of a path; a `/` within brackets does not separate steps.
pub(crate) fn steps(path: &str) -> Vec<PathStep<'_>> {
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
        steps.push(PathStep { name: &step[..bracket.unwrap_or(end)], only });
        rest = rest[end..].trim_start_matches('/');
    }
    steps
}

impl PathStep<'_> {
    pub(crate) fn below<'d>(&self, parent: Element<'d>) -> Option<Element<'d>> {
        let mut named = parent.children_named(self.name);
        match self.only {
            None => named.next(),
            Some(("#", number)) => named.nth(number.parse().ok()?),
            Some((name, wanted)) => named.find(|child| child.attribute(name).is_some_and(|value| value == wanted)),
        }
    }
}

/// The element at a path.
pub(crate) fn find<'d>(root: Element<'d>, path: &str) -> Option<Element<'d>> {
    steps(path).iter().try_fold(root, |parent, step| step.below(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    #[test]
    fn steps_of_a_path() {
        let text: Vec<String> = steps("devices/a[b=/c/d]/e").iter().map(|step| format!("{} {:?}", step.name, step.only)).collect();
        assert_eq!(text, ["devices None", "a Some((\"b\", \"/c/d\"))", "e None"]);
        let domain = Document::parse("<d><a/><a><b c='1'/></a></d>").unwrap();
        assert!(find(domain.root(), "a[#=1]/b[c=1]").is_some() && find(domain.root(), "a[#=2]").is_none());
    }

    #[test]
    fn amounts_of_memory_are_compared_in_any_unit() {
        let domain = Document::parse("<d><memory unit='GiB'>4</memory></d>").unwrap();
        let is = |kib: u32| {
            says(domain.root().child("memory").unwrap(), &Edit::put(Part::Memory, "memory").with("unit", "KiB").text(kib).says())
        };
        assert!(is(4 << 20) && !is(4));
    }
}
