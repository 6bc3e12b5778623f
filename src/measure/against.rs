//! What changed from one measurement to another.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::differences::rounded;
use super::measured::{Measured, VcpuTimes, Verdict};

/// A number before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    pub what: String,
    /// `None` where it was unknown.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub unit: &'static str,
}

/// The numbers that say how fast a domain is, of two measurements; the most is the worst virtual CPU's.
pub fn changes(before: &Measured, after: &Measured) -> Vec<Change> {
    let change = |what: &str, unit, of: &dyn Fn(&Measured) -> Option<f64>| Change {
        what: what.to_owned(),
        before: of(before),
        after: of(after),
        unit,
    };
    let most = |all: Vec<Option<f64>>| all.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max);
    let mut changes = vec![
        change("what costs speed", "", &|one| {
            u32::try_from(one.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Costs).count()).ok().map(f64::from)
        }),
        change("longest wait of a virtual CPU", "%", &|one| most(one.vcpus.iter().map(|vcpu| vcpu.waited).collect())),
        change("most time of a virtual CPU in the host", "%", &|one| most(one.vcpus.iter().map(|vcpu| Some(vcpu.host)).collect())),
        change("most preemptions of a virtual CPU", "a second", &|one| most(one.vcpus.iter().map(|vcpu| vcpu.preempted).collect())),
    ];
    let names = [before, after].into_iter().filter_map(|one| one.exits.as_ref()).flat_map(|exits| exits.keys());
    let names: BTreeSet<&String> = names.filter(|name| !name.ends_with("_ns") && name.contains("exits")).collect();
    for name in names {
        // A counter that did not move is not listed.
        changes.push(change(name, "a second", &|one| Some(one.exits.as_ref()?.get(name).copied().unwrap_or_default())));
    }
    let reasons = [before, after].into_iter().flat_map(|one| &one.vcpus).filter_map(|vcpu| vcpu.reasons.as_ref());
    let reasons: BTreeSet<&String> = reasons.flat_map(BTreeMap::keys).collect();
    for name in reasons {
        changes.push(change(&format!("exits: {name}"), "a second", &|one| {
            let of = |vcpu: &VcpuTimes| Some(vcpu.reasons.as_ref()?.get(name).copied().unwrap_or_default());
            one.vcpus.iter().map(of).sum::<Option<f64>>().map(rounded)
        }));
    }
    changes
}
