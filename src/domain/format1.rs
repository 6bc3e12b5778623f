//! Records of format 1, which vgapt 0.1.0 wrote: what was written is in three tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::edit::{Attributes, Entry, Part, Written};
use super::request::Request;
use crate::model::{CpuSet, PciAddress, Size};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record1<Passed> {
    #[serde(default)]
    pub(super) request: Request,
    #[serde(default = "Vec::new")]
    pub(super) passed: Vec<Passed>,
    #[serde(default)]
    pub(super) wrote: Wrote,
    #[serde(default)]
    pub(super) attached: bool,
    /// The sources of elements that were replaced, by path.
    #[serde(default)]
    replaced: BTreeMap<String, String>,
    #[serde(default)]
    settings: BTreeMap<Group, BTreeMap<String, Attributes>>,
}

/// Single values.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Wrote {
    #[serde(deserialize_with = "parsed")]
    memory: Option<Size>,
    cpus: Option<String>,
    hugepages: Option<String>,
    emulator: Option<String>,
    loader: Option<String>,
    nvram_template: Option<String>,
    pub(super) template: Option<String>,
    #[serde(deserialize_with = "parsed")]
    pub(super) guest_cpus: Option<CpuSet>,
    // Nothing reads these two: the elements of the pinning say the same.
    #[serde(rename = "host-cpus")]
    _host_cpus: IgnoredAny,
    #[serde(rename = "nodes")]
    _nodes: IgnoredAny,
    #[serde(deserialize_with = "functions")]
    pub(super) by_hand: BTreeSet<PciAddress>,
    #[serde(deserialize_with = "slots")]
    pub(super) single_functions: BTreeSet<(u32, u32)>,
}

/// The settings of a record of format 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Group {
    Pinning,
    Numa,
    Processor,
    Guest,
    Memory,
    Regions,
    Sharing,
}

impl Group {
    fn part(self) -> Part {
        match self {
            Self::Pinning => Part::Pinning,
            Self::Numa => Part::Numa,
            Self::Processor => Part::Processor,
            Self::Guest => Part::Guest,
            Self::Memory => Part::Pages,
            Self::Regions => Part::Regions,
            Self::Sharing => Part::Sharing,
        }
    }
}

impl<Passed> Record1<Passed> {
    /// What was written, from all three tables.
    pub(super) fn written(&self) -> Written {
        let mut written = Written::default();
        let wrote = &self.wrote;
        let mut put = |part, path, said: &[(&str, Option<String>)]| {
            let says: Option<Attributes> = said.iter().map(|(name, value)| Some(((*name).to_owned(), value.clone()?))).collect();
            if let Some(says) = says {
                written.insert(part, path, Entry { says, before: None });
            }
        };
        let memory = wrote.memory.map(|memory| memory.kib().to_string());
        put(Part::Memory, "memory", &[("", memory), ("unit", Some("KiB".to_owned()))]);
        put(Part::Cpus, "vcpu", &[("", wrote.cpus.clone())]);
        if wrote.hugepages.as_deref() == Some("true") {
            put(Part::Hugepages, "memoryBacking/hugepages", &[]);
        }
        put(Part::Firmware, "os/loader", &[("", wrote.loader.clone())]);
        put(Part::Firmware, "os/nvram", &[("template", wrote.nvram_template.clone())]);
        put(Part::Emulator, "devices/emulator", &[("", wrote.emulator.clone())]);
        for (group, settings) in &self.settings {
            for (path, says) in settings {
                written.insert(group.part(), path, Entry { says: says.clone(), before: None });
            }
        }
        for (path, source) in &self.replaced {
            written.insert(Part::Balloon, path, Entry { before: Some(source.clone()), ..Entry::default() });
        }
        written
    }
}

/// A value that is written as text.
pub(super) fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

/// Addresses, separated by spaces.
fn functions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<PciAddress>, D::Error> {
    let words = String::deserialize(deserializer)?;
    words.split_whitespace().map(|word| word.parse().map_err(D::Error::custom)).collect()
}

/// Guest slots, separated by spaces: `0:2 3:0`.
fn slots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<(u32, u32)>, D::Error> {
    let words = String::deserialize(deserializer)?;
    let slot = |word: &str| {
        let (bus, slot) = word.split_once(':').ok_or_else(|| D::Error::custom(format_args!("'{word}' is no guest slot")))?;
        Ok((bus.parse().map_err(D::Error::custom)?, slot.parse().map_err(D::Error::custom)?))
    };
    words.split_whitespace().map(slot).collect()
}
