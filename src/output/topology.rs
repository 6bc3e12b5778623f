//! Which guest uses which core, as text.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::style::{FAINT, GOOD, STRONG, WARNING, paint};
use crate::model::{CpuSet, Size};
use crate::topology::Core;

/// The contents of the picture.
#[derive(Debug, Clone, Default, serde::Serialize, JsonSchema)]
pub struct TopologyView {
    pub model: Option<String>,
    pub cores: Vec<Core>,
    /// The virtual CPUs that are pinned to each CPU of the host.
    pub vcpus: BTreeMap<u32, Vec<u32>>,
    /// The CPUs of the guest's cores.
    pub guest: CpuSet,
    /// The CPUs of the emulator and its I/O threads.
    pub emulator: CpuSet,
    /// The guest's name; `None` where it is a proposal.
    pub name: Option<String>,
    /// The cards of the guest, else of the host.
    pub cards: Vec<CardPlacement>,
}

/// A card, and the NUMA node that it is attached to.
#[derive(Debug, Clone, serde::Serialize, JsonSchema)]
pub struct CardPlacement {
    /// Its address and name.
    pub label: String,
    /// Its NUMA node; `None` where the firmware does not report it.
    pub node: Option<u32>,
    pub groups: Vec<u32>,
}

pub(super) struct CacheBox<'s> {
    pub(super) kib: u64,
    pub(super) cores: Vec<&'s Core>,
}

fn cache(cores: Vec<&Core>) -> CacheBox<'_> {
    CacheBox { kib: cores.first().map_or(0, |core| core.l3_kib), cores }
}

pub(super) struct NodeBox<'s> {
    pub(super) package: u32,
    pub(super) number: u32,
    pub(super) caches: Vec<CacheBox<'s>>,
}

impl TopologyView {
    /// The cores, grouped by package and node, and then by cache.
    pub(super) fn nodes(&self) -> Vec<NodeBox<'_>> {
        let mut places: BTreeMap<(u32, u32), BTreeMap<usize, Vec<&Core>>> = BTreeMap::new();
        for core in &self.cores {
            places.entry((core.package, core.node)).or_default().entry(core.l3).or_default().push(core);
        }
        places
            .into_iter()
            .map(|((package, node), domains)| NodeBox { package, number: node, caches: domains.into_values().map(cache).collect() })
            .collect()
    }

    pub(super) fn seat(&self, cpu: u32) -> CpuUse {
        match self.vcpus.get(&cpu) {
            Some(vcpus) => CpuUse::Guest(vcpus.iter().map(u32::to_string).collect::<Vec<_>>().join("+")),
            None if self.guest.0.contains(&cpu) => CpuUse::Unused,
            None if self.emulator.0.contains(&cpu) => CpuUse::Emulator,
            None => CpuUse::Host,
        }
    }

    pub(super) fn title(&self) -> String {
        let model = self.model.as_deref().unwrap_or("unknown processor");
        match &self.name {
            Some(name) => format!("{model}: cores used by '{name}'"),
            None => format!("{model}: cores for a new guest"),
        }
    }
}

pub(super) enum CpuUse {
    /// A virtual CPU, or several.
    Guest(String),
    /// Unused: the guest uses the core's other thread.
    Unused,
    /// QEMU's own threads, and the host.
    Emulator,
    /// The host alone.
    Host,
}

/// The picture: a line for each core.
pub fn topology(seats: &TopologyView) -> String {
    let mut text = format!("{}\n", paint(STRONG, seats.title()));
    if seats.cores.is_empty() {
        text.push_str("  the cores of this host are unknown\n");
    }
    for node in seats.nodes() {
        text.push_str(&format!("package {}, NUMA node {}\n", node.package, node.number));
        for card in seats.cards.iter().filter(|card| card.node == Some(node.number)) {
            text.push_str(&card_line(card));
        }
        for cache in node.caches {
            let size = if cache.kib == 0 { "of unknown size".to_owned() } else { Size::from_kib(cache.kib).to_string() };
            text.push_str(&format!("  L3 cache, {size}\n"));
            text.extend(cache.cores.into_iter().map(|core| core_line(seats, core)));
        }
    }
    let elsewhere: Vec<&CardPlacement> =
        seats.cards.iter().filter(|card| !seats.cores.iter().any(|core| card.node == Some(core.node))).collect();
    text.extend(elsewhere.into_iter().map(card_line));
    text
}

fn card_line(card: &CardPlacement) -> String {
    let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
    let groups = if groups.is_empty() { "not in an IOMMU group".to_owned() } else { format!("IOMMU group {}", groups.join(", ")) };
    let node = if card.node.is_none() { ", NUMA node unknown" } else { "" };
    format!("  card {}, {groups}{node}\n", card.label)
}

const SEAT: usize = 8;

fn core_line(seats: &TopologyView, core: &Core) -> String {
    let seat = |cpu: &u32| {
        let (style, word) = match seats.seat(*cpu) {
            CpuUse::Guest(vcpu) => (GOOD, format!("vCPU {vcpu}")),
            CpuUse::Unused => (WARNING, "unused".to_owned()),
            CpuUse::Emulator => (FAINT, "host+emu".to_owned()),
            CpuUse::Host => (FAINT, "host".to_owned()),
        };
        format!("{cpu:>3} {}{:pad$}", paint(style, &word), "", pad = SEAT.saturating_sub(word.len()))
    };
    let kind = if core.is_efficient { "efficiency core" } else { "core" };
    let cpus: Vec<String> = core.cpus.iter().map(seat).collect();
    format!("    {kind}  {}\n", cpus.join("  ").trim_end())
}
