//! Memory from the node on which the guest's processors and its card are.

use super::super::setting::Setting;
use super::super::settings::size_of;
use super::Question;
use crate::model::Finding;
use crate::topology::Pinning;

/// `strict`: a start that finds too little memory on the node fails, instead of a guest that is slow
/// for ever. Where the node is too small for the guest it is left out, and that is said.
pub(super) fn decide(question: &Question<'_>, pinning: Option<&Pinning>) -> (Vec<Setting>, Option<Finding>) {
    let Question { base, wanted, host, .. } = question;
    let mut nodes: Vec<u32> = host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let Some(pinning) = pinning.filter(|pinning| nodes.len() > 1 && pinning.nodes.0.len() == 1) else { return (Vec::new(), None) };
    let asked = wanted.memory.or_else(|| base.domain.root().child("memory").and_then(size_of));
    let node = host.memory.nodes.iter().find(|(node, _)| pinning.nodes.0.contains(node));
    if let (Some(asked), Some((node, total))) = (asked, node)
        && asked >= *total
    {
        let message = format!("the domain is to have {asked}, and NUMA node {node}, on which its processors are, has {total} in all");
        let remedy = "ask for less with --memory: memory of another node is slower";
        return (Vec::new(), Some(Finding::warning("node-too-small", message, remedy)));
    }
    (vec![Setting::new("numatune/memory").with("mode", "strict").with("nodeset", &pinning.nodes)], None)
}
