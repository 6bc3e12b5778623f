//! Whether the guest sees which of its virtual CPUs share a core: its scheduler uses an idle core first, if it knows the cores.

use std::collections::{BTreeMap, BTreeSet};

use super::cores::SHARED;
use super::seen::{Seen, listed};
use crate::measure::measured::{Judgement, VcpuTimes};

/// How much it weighs at least that the guest sees other cores than there are.
const WRONG: f64 = 1.0;

/// Only where each virtual CPU has one core of the host, and cores have several threads.
pub(super) fn siblings(seen: &Seen<'_>) -> Option<Judgement> {
    let pins = seen.subject.pins.as_ref().ok()?;
    let threads = if seen.subject.hides_cores { 1 } else { seen.subject.threads.max(1) };
    let core_of = |vcpu: &VcpuTimes| {
        let pin = pins.get(&vcpu.vcpu)?;
        seen.subject.cores.iter().position(|core| core.cpus.len() > 1 && pin.0.iter().all(|cpu| core.cpus.contains(cpu)))
    };
    let mut of_cores: BTreeMap<usize, Vec<&VcpuTimes>> = BTreeMap::new();
    for vcpu in seen.vcpus {
        of_cores.entry(core_of(vcpu)?).or_default().push(vcpu);
    }
    let judgement = |text: String| Judgement::good("siblings", "cores that the guest sees", text);
    let is_split = |vcpus: &&Vec<&VcpuTimes>| vcpus.iter().map(|vcpu| vcpu.vcpu / threads).collect::<BTreeSet<u32>>().len() > 1;
    let unseen: Vec<&Vec<&VcpuTimes>> = of_cores.values().filter(is_split).collect();
    let of_guest: BTreeSet<u32> = seen.vcpus.iter().map(|vcpu| vcpu.vcpu / threads).collect();
    if unseen.is_empty() && of_guest.len() == of_cores.len() {
        return (threads > 1).then(|| judgement("virtual CPUs that share a core know it".to_owned()));
    }
    let names = |vcpus: &&Vec<&VcpuTimes>| vcpus.iter().map(|vcpu| vcpu.vcpu.to_string()).collect::<Vec<_>>().join("+");
    let text = if unseen.is_empty() {
        format!(
            "the guest takes {threads} virtual CPUs each for threads of one core, and they have cores of their own, which it leaves idle"
        )
    } else {
        let pairs: Vec<String> = unseen.iter().take(3).map(names).collect();
        format!("the virtual CPUs {} share a core of the host, and the guest takes them for cores of their own", listed(&pairs))
    };
    // What two that work at once take from each other.
    let used = |vcpu: &&VcpuTimes| vcpu.guest + vcpu.host;
    let second = |vcpus: &&Vec<&VcpuTimes>| {
        let mut used: Vec<f64> = vcpus.iter().map(used).collect();
        used.sort_by(|one, other| other.total_cmp(one));
        used.get(1).copied().unwrap_or_default()
    };
    let both = unseen.iter().map(second).fold(0.0, f64::max);
    let judged = judgement(text).costs((both * SHARED).max(WRONG));
    if seen.subject.hides_cores {
        let judged = judged.by_command(seen.restarted(&format!("vgapt define {}", seen.name())));
        return Some(judged.by("an AMD processor says by topoext which threads share a core; QEMU leaves it out, and define adds it"));
    }
    Some(match &seen.subject.pinnable {
        Ok(pinning) if pinning.guest.threads > 1 || threads > 1 => judged.by_command(seen.pin()),
        Ok(_) => judged.by("use --cpus with a number that fills whole cores of the host: then the guest sees which virtual CPUs share one"),
        Err(_) => judged,
    })
}
