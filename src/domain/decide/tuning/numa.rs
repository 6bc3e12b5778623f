//! Memory from the NUMA nodes of the guest's CPUs and its card.

use std::collections::BTreeSet;

use super::pinning::Placed;
use super::question::TuningInput;
use crate::domain::setting::{Group, Setting};
use crate::domain_xml::{memory, pins};
use crate::model::{CpuSet, Finding, Size};

/// `strict`: if the nodes have too little free memory, the start fails, instead of a guest that is always
/// slow. If the nodes are too small for the guest, the setting is omitted with a warning. Decided with the
/// pinning, and again if the memory changes; `None` leaves it unchanged.
pub(super) fn decide(question: &TuningInput<'_>, placed: &Placed) -> Option<(Vec<Setting>, Option<Finding>)> {
    let TuningInput { base, wanted, host, .. } = question;
    let nodes = nodes(question, placed)?;
    let there: BTreeSet<u32> = host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
    // A node may have no memory of its own.
    let with_memory = |(node, size): &&(u32, Size)| nodes.0.contains(node) && *size > Size::default();
    let total: Vec<Size> = host.memory.nodes.iter().filter(with_memory).map(|(_, size)| *size).collect();
    let is_known_empty = total.is_empty() && !host.memory.nodes.is_empty();
    if there.len() < 2 || nodes.0.is_empty() || nodes.0 == there || is_known_empty {
        return Some((Vec::new(), None));
    }
    let asked = wanted.memory.or_else(|| memory(base.domain.root()));
    let total = (!total.is_empty()).then(|| Size::from_bytes(total.iter().map(|size| size.bytes()).sum()));
    if let (Some(asked), Some(total)) = (asked, total)
        && asked >= total
    {
        let message = format!("the domain needs {asked}, but NUMA node {nodes} of its CPUs has only {total} in total");
        let remedy = "use less with --memory: memory of another node is slower";
        return Some((Vec::new(), Some(Finding::warning("node-too-small", message, remedy))));
    }
    Some((vec![Setting::new("numatune/memory").with("mode", "strict").with("nodeset", &nodes)], None))
}

/// The nodes of the guest's CPUs: as decided now, or, if only the memory changes, as pinned by vgapt
/// before.
fn nodes(question: &TuningInput<'_>, placed: &Placed) -> Option<CpuSet> {
    let TuningInput { base, host, .. } = question;
    if placed.is_decided {
        return Some(placed.pinning.as_ref().map(|pinning| pinning.nodes.clone()).unwrap_or_default());
    }
    let is_ours = base.last.as_ref().is_some_and(|last| last.settings.contains_key(&Group::Pinning));
    if !is_ours || !base.differs(|request| request.memory) {
        return None;
    }
    let (pins, _) = pins(base.domain.root()).ok()?;
    let node = |cpu: u32| host.topology.cpus.iter().find(|known| known.cpu == cpu)?.node;
    Some(CpuSet(pins.iter().flat_map(|(_, cpus)| &cpus.0).filter_map(|cpu| node(*cpu)).collect()))
}
