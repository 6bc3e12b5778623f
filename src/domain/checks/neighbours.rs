//! What speaks against a domain's place beside the others of the host.

use crate::domain::{Spec, passed_functions, pins};
use crate::model::{CpuSet, Finding};
use crate::xml::Document;

/// Cores that another domain has too: both are slow while both run. Domains that pass the same device
/// never run at once.
pub fn of_neighbours(spec: &Spec, others: &[(String, Document)]) -> Option<Finding> {
    let own = &spec.placed.as_ref()?.taken;
    let passes = |function| spec.record.passed.iter().any(|passed| passed.address == function);
    let shared = |(name, domain): &(String, Document)| {
        if passed_functions(domain).into_iter().any(passes) {
            return None;
        }
        let (pins, _) = pins(domain.root());
        let theirs: CpuSet = CpuSet(pins.iter().flat_map(|(_, cpus)| cpus.0.intersection(&own.0)).copied().collect());
        (!theirs.0.is_empty()).then(|| format!("'{name}' has {theirs}"))
    };
    let named: Vec<String> = others.iter().filter_map(shared).collect();
    (!named.is_empty()).then(|| {
        let message = format!("other domains are pinned to the same processors of the host: {}", named.join(", "));
        Finding::warning(
            "shared-cores",
            message,
            "let them run one at a time, or move the pins of one with virsh -c qemu:///system vcpupin --config",
        )
    })
}
