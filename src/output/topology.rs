//! Which guest uses which core, as text: runs of equal cores are one line. `svg.rs` shows the same, with the same words.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::style::{FAINT, GOOD, HANG, STRONG, Style, WARNING, paint};
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
    /// The CPUs that other guests, which may run at the same time, have for themselves.
    pub others: CpuSet,
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
            Some(vcpus) => CpuUse::Guest(vcpus.clone()),
            None if self.guest.0.contains(&cpu) => CpuUse::Unused,
            None if self.others.0.contains(&cpu) => CpuUse::Other,
            None if self.emulator.0.contains(&cpu) => CpuUse::Emulator,
            None => CpuUse::Host,
        }
    }

    pub(super) fn title(&self) -> String {
        let used = match &self.name {
            Some(name) => format!("cores used by '{name}'"),
            None => "cores for a new guest".to_owned(),
        };
        // A capture or a virtual machine may call its processor "unknown", which says nothing of its cores.
        match self.model.as_deref().filter(|model| !model.eq_ignore_ascii_case("unknown")) {
            Some(model) => format!("{model}: {used}"),
            None => format!("a processor of unknown model: {used}"),
        }
    }

    /// The cards on a node; with `None` those whose node is unknown, or has no cores.
    pub(super) fn cards_of(&self, node: Option<u32>) -> impl Iterator<Item = &CardPlacement> {
        let has_cores = |node: u32| self.cores.iter().any(|core| core.node == node);
        self.cards.iter().filter(move |card| card.node.filter(|node| has_cores(*node)) == node)
    }

    /// Whether some core is an efficiency core.
    pub(super) fn is_hybrid(&self) -> bool {
        self.cores.iter().any(|core| core.is_efficient)
    }

    /// What some of the CPUs are used for: the words, and what they mean.
    pub(super) fn legend(&self) -> Vec<CpuUse> {
        let uses: Vec<CpuUse> = self.cores.iter().flat_map(|core| &core.cpus).map(|cpu| self.seat(*cpu)).collect();
        let all = [CpuUse::Guest(Vec::new()), CpuUse::Unused, CpuUse::Other, CpuUse::Emulator, CpuUse::Host];
        all.into_iter().filter(|one| uses.iter().any(|other| other.word() == one.word())).collect()
    }
}

impl CardPlacement {
    pub(super) fn words(&self) -> String {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        let groups = if groups.is_empty() { "not in an IOMMU group".to_owned() } else { format!("IOMMU group {}", groups.join(", ")) };
        let node = if self.node.is_none() { ", NUMA node unknown" } else { "" };
        format!("card {}, {groups}{node}", self.label)
    }
}

impl NodeBox<'_> {
    pub(super) fn words(&self) -> String {
        format!("package {}, NUMA node {}", self.package, self.number)
    }
}

impl CacheBox<'_> {
    pub(super) fn words(&self) -> String {
        let size = if self.kib == 0 { "of unknown size".to_owned() } else { Size::from_kib(self.kib).to_string() };
        format!("L3 cache, {size}")
    }
}

/// What a CPU of the host is used for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CpuUse {
    /// A virtual CPU, or several.
    Guest(Vec<u32>),
    /// Unused: the guest uses the core's other thread.
    Unused,
    /// Another guest.
    Other,
    /// QEMU's own threads, and the host.
    Emulator,
    /// The host alone.
    Host,
}

impl CpuUse {
    /// One word, without the number of a virtual CPU.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Guest(_) => "vCPU",
            Self::Unused => "unused",
            Self::Other => "other",
            Self::Emulator => "host+emu",
            Self::Host => "host",
        }
    }

    pub(super) fn meaning(&self) -> &'static str {
        match self {
            Self::Guest(_) => "a virtual CPU of the guest is pinned to it",
            Self::Unused => "left unused: the guest has the core's other thread",
            Self::Other => "another guest: its virtual CPUs are pinned to it",
            Self::Emulator => "the host, and QEMU's own threads",
            Self::Host => "the host alone",
        }
    }

    /// With the numbers of its virtual CPUs.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Guest(vcpus) => format!("{} {}", self.word(), vcpus.iter().map(u32::to_string).collect::<Vec<_>>().join("+")),
            Self::Unused | Self::Other | Self::Emulator | Self::Host => self.word().to_owned(),
        }
    }

    fn style(&self) -> Style {
        match self {
            Self::Guest(_) => GOOD,
            Self::Unused => WARNING,
            Self::Other | Self::Emulator | Self::Host => FAINT,
        }
    }
}

/// The picture: a line for each run of equal cores.
pub fn topology(seats: &TopologyView) -> String {
    let mut text = format!("{}\n", paint(STRONG, seats.title()));
    if seats.cores.is_empty() {
        text.push_str("  the cores of this host are unknown\n");
    }
    let nodes = seats.nodes();
    let runs: Vec<Vec<Vec<Run>>> = nodes.iter().map(|node| node.caches.iter().map(|cache| runs(seats, cache)).collect()).collect();
    let layout = Layout::of(runs.iter().flatten().flatten());
    for (node, runs) in nodes.iter().zip(&runs) {
        text.push_str(&format!("{}\n", node.words()));
        text.extend(seats.cards_of(Some(node.number)).map(|card| format!("  {}\n", card.words())));
        for (cache, runs) in node.caches.iter().zip(runs) {
            text.push_str(&format!("  {}\n", cache.words()));
            text.extend(runs.iter().map(|run| layout.line(run)));
        }
    }
    text.extend(seats.cards_of(None).map(|card| format!("  {}\n", card.words())));
    if !seats.cores.is_empty() {
        let has_steps = runs.iter().flatten().flatten().any(|run| layout.line(run).contains(STEPS));
        text.push_str(&legend(seats, has_steps));
    }
    text
}

fn legend(seats: &TopologyView, has_steps: bool) -> String {
    let word = |used: CpuUse| format!("  {}  {HANG}{}\n", paint(used.style(), format_args!("{:<8}", used.word())), used.meaning());
    let words: String = seats.legend().into_iter().map(word).collect();
    let steps = if has_steps { format!("  {:<8}  {HANG}1, 3, and so on to 9\n", "1,3..9") } else { String::new() };
    format!("\n{words}{steps}")
}

/// Cores one after the other that differ only by numbers which rise evenly.
struct Run<'s> {
    cores: Vec<&'s Core>,
    /// For each thread: its CPU and its use, core by core.
    threads: Vec<Vec<(u32, CpuUse)>>,
}

fn runs<'s>(seats: &TopologyView, cache: &CacheBox<'s>) -> Vec<Run<'s>> {
    let mut runs: Vec<Run<'s>> = Vec::new();
    for core in &cache.cores {
        let threads = || core.cpus.iter().map(|cpu| (*cpu, seats.seat(*cpu)));
        match runs.last_mut().filter(|run| run.goes_on(core, threads())) {
            Some(run) => {
                run.cores.push(core);
                run.threads.iter_mut().zip(threads()).for_each(|(thread, next)| thread.push(next));
            }
            None => runs.push(Run { cores: vec![core], threads: threads().map(|thread| vec![thread]).collect() }),
        }
    }
    runs
}

impl Run<'_> {
    fn goes_on(&self, core: &Core, threads: impl Iterator<Item = (u32, CpuUse)>) -> bool {
        let is_alike = self.cores.iter().all(|other| other.is_efficient == core.is_efficient && other.cpus.len() == core.cpus.len());
        is_alike && self.threads.iter().zip(threads).all(|(before, next)| is_even(before, &next))
    }
}

/// Whether a CPU goes on with the even numbers of those before it.
fn is_even(before: &[(u32, CpuUse)], next: &(u32, CpuUse)) -> bool {
    let Some((last, last_use)) = before.last() else { return true };
    let earlier = before.len().checked_sub(2).map(|at| &before[at]);
    let rises = |earlier: Option<u32>, last: u32, next: u32| next > last && earlier.is_none_or(|earlier| last - earlier == next - last);
    let uses_go_on = match (last_use, &next.1) {
        (CpuUse::Guest(last), CpuUse::Guest(next)) if last.len() == 1 && next.len() == 1 && last != next => {
            let earlier = earlier.map(|(_, used)| used);
            match earlier {
                None => next[0] > last[0],
                Some(CpuUse::Guest(earlier)) => earlier != last && rises(Some(earlier[0]), last[0], next[0]),
                Some(_) => false,
            }
        }
        // The same virtual CPUs on each: all of them, or none has changed so far.
        (last, next) => last == next && earlier.is_none_or(|(_, earlier)| earlier == last),
    };
    rises(earlier.map(|(cpu, _)| *cpu), *last, next.0) && uses_go_on
}

const STEPS: &str = "..";

/// Numbers that rise evenly, such as `1-7` or `0,2..12`.
fn even(numbers: &[u32]) -> String {
    match numbers {
        [] => String::new(),
        [first, .., last] if first == last => first.to_string(),
        [first] => first.to_string(),
        [first, second, .., last] if *second == first + 1 => format!("{first}-{last}"),
        [first, last] if *last == first + 1 => format!("{first}-{last}"),
        [first, last] => format!("{first},{last}"),
        [first, second, last] => format!("{first},{second},{last}"),
        [first, second, .., last] => format!("{first},{second}{STEPS}{last}"),
    }
}

fn kind(run: &Run) -> String {
    let core = if run.cores.iter().any(|core| core.is_efficient) { "efficiency core" } else { "core" };
    if let [_] = run.cores[..] { core.to_owned() } else { format!("{} {core}s", run.cores.len()) }
}

/// A thread's CPUs and their uses, in words.
fn cells(thread: &[(u32, CpuUse)]) -> (String, String) {
    let cpus: Vec<u32> = thread.iter().map(|(cpu, _)| *cpu).collect();
    let one = |(_, used): &(u32, CpuUse)| match used {
        CpuUse::Guest(vcpus) if vcpus.len() == 1 => Some(vcpus[0]),
        CpuUse::Guest(_) | CpuUse::Unused | CpuUse::Other | CpuUse::Emulator | CpuUse::Host => None,
    };
    let vcpus: Option<Vec<u32>> = thread.iter().map(one).collect();
    let words = match (vcpus, thread.first()) {
        (Some(vcpus), Some((_, used))) => format!("{} {}", used.word(), even(&vcpus)),
        (_, used) => used.map(|(_, used)| used.words()).unwrap_or_default(),
    };
    (format!("CPU {}", even(&cpus)), words)
}

/// The widths of the columns of all lines.
struct Layout {
    kind: usize,
    cpus: usize,
    words: usize,
}

impl Layout {
    fn of<'r>(runs: impl Iterator<Item = &'r Run<'r>> + Clone) -> Self {
        let cells = runs.clone().flat_map(|run| &run.threads).map(|thread| cells(thread));
        let (cpus, words) = cells.fold((0, 0), |(cpus, words), (cpu, word)| (cpus.max(cpu.len()), words.max(word.len())));
        Self { kind: runs.map(|run| kind(run).len()).max().unwrap_or(0), cpus, words }
    }

    fn line(&self, run: &Run) -> String {
        let cell = |thread: &Vec<(u32, CpuUse)>| {
            let (cpus, words) = cells(thread);
            let style = thread.first().map_or(FAINT, |(_, used)| used.style());
            format!("  {cpus:<width$}  {}{:pad$}", paint(style, &words), "", width = self.cpus, pad = self.words - words.len())
        };
        let threads: String = run.threads.iter().map(cell).collect();
        format!("    {:<width$}{}\n", kind(run), threads.trim_end(), width = self.kind)
    }
}
