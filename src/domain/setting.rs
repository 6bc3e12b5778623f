//! Elements that vgapt puts into a domain and that carry no alias: where each is, what it says, and which belong together.

use std::collections::BTreeMap;

use crate::xml::Element;

/// The attributes of an element; its text is under the empty name.
pub(crate) type Says = BTreeMap<String, String>;

/// An element that is to be there, and what it is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// From the root: `cputune/vcpupin[vcpu=0]`.
    pub(crate) path: String,
    /// Attributes, and the text under the empty name.
    pub(crate) says: Says,
}

impl Setting {
    /// An empty element at this place.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), says: Says::new() }
    }

    /// With an attribute.
    #[allow(clippy::needless_pass_by_value)] // Values are written as they come.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.says.insert(name.to_owned(), value.to_string());
        self
    }

    /// With text in it.
    pub(crate) fn text(self, text: impl ToString) -> Self {
        self.with("", text)
    }
}

/// Settings that are decided together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Which CPU of the host each virtual one has, and the emulator's.
    Pinning,
    /// From which NUMA nodes the memory comes.
    Numa,
    /// How the guest sees the processor.
    Processor,
    /// What the guest's system is to have.
    Guest,
    /// The size of the memory's pages.
    Memory,
    /// Room for the memory regions of cards.
    Regions,
    /// What other programs need.
    Sharing,
}

impl Group {
    /// What it is about.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinning => "pinning of the processors",
            Self::Numa => "memory's NUMA node",
            Self::Processor => "processor's features",
            Self::Guest => "guest system's features",
            Self::Memory => "memory's pages",
            Self::Sharing => "shared memory and sound",
            Self::Regions => "cards' memory regions",
        }
    }
}

/// What was written, by the element's path.
pub(crate) type Settings = BTreeMap<String, Says>;

/// What is to be done to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub(crate) group: Group,
    /// Elements of vgapt's that go.
    pub(crate) take_out: Vec<String>,
    /// Elements that come, or change.
    pub(crate) put: Vec<Setting>,
}

impl Change {
    /// What is to be remembered of it.
    pub(crate) fn written(&self) -> Settings {
        self.put.iter().map(|setting| (setting.path.clone(), setting.says.clone())).collect()
    }
}

/// `name`, or `name[attribute=value]`.
pub(crate) struct Step<'p> {
    pub(crate) name: &'p str,
    pub(crate) only: Option<(&'p str, &'p str)>,
}

/// The steps of a path; a `/` between brackets is none.
pub(crate) fn steps(path: &str) -> Vec<Step<'_>> {
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

/// Whether a domain still says this at a path.
pub(crate) fn says(root: Element<'_>, path: &str, said: &Says) -> bool {
    find(root, path).is_some_and(|element| {
        said.iter().all(|(name, value)| match name.as_str() {
            "" => element.text() == value,
            name => element.attribute(name).is_some_and(|now| now == value.as_str()),
        })
    })
}

/// Whether somebody changed what vgapt wrote.
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
