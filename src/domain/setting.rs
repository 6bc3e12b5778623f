//! Elements that vgapt writes into a domain and that cannot have an alias: their paths, attributes and groups.

use std::collections::BTreeMap;

use crate::xml::Element;

/// The attributes of an element; the empty name stands for its text.
pub(crate) type Attributes = BTreeMap<String, String>;

/// An element that the domain should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its path from the root: `cputune/vcpupin[vcpu=0]`.
    pub(crate) path: String,
    /// Its attributes; the empty name stands for its text.
    pub(crate) says: Attributes,
}

impl Setting {
    /// An empty element at this path.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), says: Attributes::new() }
    }

    /// With an attribute.
    #[allow(clippy::needless_pass_by_value)] // Callers pass values of many types.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.says.insert(name.to_owned(), value.to_string());
        self
    }

    /// With text in it.
    pub(crate) fn text(self, text: impl ToString) -> Self {
        self.with("", text)
    }
}

/// A group of settings that are decided together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The host CPUs of the vCPUs and the emulator.
    Pinning,
    /// The NUMA nodes of the memory.
    Numa,
    /// The processor as exposed to the guest.
    Processor,
    /// Settings for the guest system.
    Guest,
    /// The size of the memory's pages.
    Memory,
    /// Address space for the memory regions (BARs) of cards.
    Regions,
    /// Settings that other host programs need.
    Sharing,
}

impl Group {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinning => "vCPU pinning",
            Self::Numa => "NUMA node of the memory",
            Self::Processor => "processor features",
            Self::Guest => "features for the guest system",
            Self::Memory => "huge page size",
            Self::Sharing => "shared memory and sound",
            Self::Regions => "address space for cards",
        }
    }
}

/// The written settings, by the path of the element.
pub(crate) type Settings = BTreeMap<String, Attributes>;

/// The changes to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub(crate) group: Group,
    /// vgapt's elements to remove.
    pub(crate) remove: Vec<String>,
    /// Elements to add or change.
    pub(crate) put: Vec<Setting>,
}

impl Change {
    /// The settings to store in the record.
    pub(crate) fn written(&self) -> Settings {
        self.put.iter().map(|setting| (setting.path.clone(), setting.says.clone())).collect()
    }
}

/// A step of a path: `name`, or `name[attribute=value]`.
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
        parent.children_named(self.name).find(|child| {
            let value = |name: &str| child.attribute(name);
            self.only.is_none_or(|(name, wanted)| value(name).is_some_and(|value| value == wanted))
        })
    }
}

/// The element at a path.
pub(crate) fn find<'d>(root: Element<'d>, path: &str) -> Option<Element<'d>> {
    steps(path).iter().try_fold(root, |parent, step| step.below(parent))
}

/// Whether the element at a path still has these attributes and text.
pub(crate) fn says(root: Element<'_>, path: &str, said: &Attributes) -> bool {
    find(root, path).is_some_and(|element| {
        said.iter().all(|(name, value)| match name.as_str() {
            "" => element.text() == value,
            name => element.attribute(name).is_some_and(|now| now == value.as_str()),
        })
    })
}

/// Whether settings that vgapt wrote were changed manually.
pub(crate) fn is_changed(root: Element<'_>, written: &Settings) -> bool {
    written.iter().any(|(path, said)| !says(root, path, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_path() {
        let text: Vec<String> = steps("devices/a[b=/c/d]/e").iter().map(|step| format!("{} {:?}", step.name, step.only)).collect();
        assert_eq!(text, ["devices None", "a Some((\"b\", \"/c/d\"))", "e None"]);
    }
}
