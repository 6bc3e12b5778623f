//! What changed from one measurement to another.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::differences::most_of_a_cpu;
use super::measured::{Measured, VcpuTimes, Verdict};
use super::numbers::{rounded, share};

/// A number before and after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// Stable identifier for programs.
    pub code: String,
    pub what: String,
    /// `None` where it was unknown.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub unit: &'static str,
}

/// The numbers that say how fast a domain is, of two measurements; the most is the worst virtual CPU's.
pub fn changes(before: &Measured, after: &Measured) -> Vec<Change> {
    let change = |code: &str, what: &str, unit, of: &dyn Fn(&Measured) -> Option<f64>| Change {
        code: code.to_owned(),
        what: what.to_owned(),
        before: of(before),
        after: of(after),
        unit,
    };
    let most = |all: Vec<Option<f64>>| all.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max);
    let count = |one: &Measured, verdict: Verdict| {
        u32::try_from(one.judgements.iter().filter(|judgement| judgement.verdict == verdict).count()).ok().map(f64::from)
    };
    let mut changes = vec![
        change("costs", "what costs speed", "", &|one| count(one, Verdict::Costs)),
        change("unknown", "what is unknown", "", &|one| count(one, Verdict::Unknown)),
        // What a guest does more, costs more: two measurements compare where this is alike.
        change("guest", "most time of a virtual CPU in the guest", "%", &|one| {
            most(one.vcpus.iter().map(|vcpu| Some(vcpu.guest)).collect())
        }),
        change("waited", "longest wait of a virtual CPU", "%", &|one| most(one.vcpus.iter().map(|vcpu| vcpu.waited).collect())),
        change("host", "most time of a virtual CPU in the host", "%", &|one| most(one.vcpus.iter().map(|vcpu| Some(vcpu.host)).collect())),
        change("preempted", "most preemptions of a virtual CPU", "a second", &|one| {
            most(one.vcpus.iter().map(|vcpu| vcpu.preempted).collect())
        }),
    ];
    changes.extend([
        change("host-load", "most of a host CPU that others used", "%", &|one| {
            Some(most_of_a_cpu(one.loads.as_ref()?.iter().filter(|load| !load.is_own)))
        }),
        change("interrupts", "interrupts of the host's devices", "a second", &|one| {
            let devices = one.interrupts.as_ref()?.iter().filter(|one| one.is_of_host_device());
            Some(rounded(devices.map(|one| one.per_second).sum()))
        }),
        change("pages", "memory in huge pages", "%", &|one| {
            let memory = one.memory.as_ref()?;
            Some(share(memory.in_huge_pages(), memory.resident()))
        }),
    ]);
    // What only some hosts and guests have.
    #[expect(clippy::cast_precision_loss, reason = "MHz")]
    let slowest = |one: &Measured| one.cores.iter().filter_map(|core| core.mhz).min().map(|mhz| mhz as f64);
    let some = [
        change("frequency", "slowest host CPU at work", "MHz", &slowest),
        change("quota", "most time that a quota held virtual CPUs back", "%", &|one| {
            one.quotas.as_ref()?.iter().map(|quota| quota.held).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
        }),
        change("idle", "time to leave idle states", "%", &|one| Some(one.idle.as_ref()?.percent())),
        change("guest-clock", "guest's clock beside the host's", "%", &|one| {
            let clock = one.guest_clock.filter(|clock| clock.host > 0.0)?;
            Some(rounded(100.0 * clock.guest / clock.host))
        }),
    ];
    changes.extend(some.into_iter().filter(|change| change.before.or(change.after).is_some()));
    let names = [before, after].into_iter().filter_map(|one| one.exits.as_ref()).flat_map(|exits| exits.keys());
    let names: BTreeSet<&String> = names.filter(|name| !name.ends_with("_ns") && name.contains("exits")).collect();
    for name in names {
        // A counter that did not move is not listed.
        changes.push(change(name, name, "a second", &|one| {
            let exits = one.exits.as_ref().filter(|exits| exits.contains_key("exits"))?;
            Some(exits.get(name).copied().unwrap_or_default())
        }));
    }
    let reasons = [before, after].into_iter().flat_map(|one| &one.vcpus).filter_map(|vcpu| vcpu.reasons.as_ref());
    let reasons: BTreeSet<&String> = reasons.flat_map(BTreeMap::keys).collect();
    for name in reasons {
        changes.push(change(&format!("reason {name}"), &format!("exits: {name}"), "a second", &|one| {
            let of = |vcpu: &VcpuTimes| Some(vcpu.reasons.as_ref()?.get(name).copied().unwrap_or_default());
            one.vcpus.iter().map(of).sum::<Option<f64>>().map(rounded)
        }));
    }
    changes
}

/// A judgement that is another one than before.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Turn {
    pub code: String,
    pub subject: String,
    /// `None` where it was not judged.
    pub before: Option<Verdict>,
    pub after: Option<Verdict>,
}

/// The judgements that are others now.
pub fn turns(before: &Measured, after: &Measured) -> Vec<Turn> {
    let of = |one: &Measured, code: &str, subject: &str| {
        one.judgements.iter().find(|judged| judged.code == code && judged.subject == subject).map(|judged| judged.verdict)
    };
    let all = after.judgements.iter().chain(&before.judgements).map(|judged| (judged.code.clone(), judged.subject.clone()));
    let all: BTreeSet<(String, String)> = all.collect();
    let turn = |(code, subject): (String, String)| {
        let (before, after) = (of(before, &code, &subject), of(after, &code, &subject));
        (before != after).then_some(Turn { code, subject, before, after })
    };
    all.into_iter().filter_map(turn).collect()
}
