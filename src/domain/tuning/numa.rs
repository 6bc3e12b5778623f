//! Memory from the node on which the guest's processors and its card are.

use super::super::setting::Setting;
use super::Question;
use crate::topology::Pinning;

/// `strict`: a start that finds too little memory on the node fails, instead of a guest that is slow for ever.
pub(super) fn settings(question: &Question<'_>, pinning: Option<&Pinning>) -> Vec<Setting> {
    let mut nodes: Vec<u32> = question.host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let one = pinning.filter(|pinning| nodes.len() > 1 && pinning.nodes.0.len() == 1);
    one.map(|pinning| Setting::new("numatune/memory").with("mode", "strict").with("nodeset", &pinning.nodes)).into_iter().collect()
}
