//! CPUs that the host leaves alone from its boot on, for guests.
//!
//! Sources: Linux Documentation/admin-guide/kernel-parameters.txt; kernel/sched/isolation.c, in which `nohz_full` also keeps
//! timers, RCU callbacks (so `rcu_nocbs` is not needed) and kernel threads away, and both lists have to be the same;
//! `irqaffinity` as tuned's realtime-virtual-host sets it (redhat-performance/tuned#364). `kthread_cpus` is no parameter of Linux.

use super::parameters::Needed;
use crate::host::text::tokens::ParameterChange;
use crate::model::{BOOT_CPU, CpuSet, Finding, Host, Reading};

/// Why these cannot be isolated.
pub(super) fn refusal(host: &Host, cpus: &CpuSet) -> Option<Finding> {
    let topology = &host.topology;
    let refuse = |message: String, remedy: String| Some(Finding::error("isolate", message, remedy));
    if topology.cpus.is_empty() {
        let message = "the host's CPUs cannot be read, so it is unknown which of them may be isolated";
        return refuse(message.to_owned(), "run it on the host itself, or omit --isolate".to_owned());
    }
    let gone = without(cpus, &topology.online);
    if cpus.0.is_empty() || !gone.0.is_empty() {
        let what = if cpus.0.is_empty() { "--isolate names no CPU".to_owned() } else { format!("the host has no CPU {gone}") };
        return refuse(what, format!("name some of {}: vgapt topology", without(&topology.online, &core(host, BOOT_CPU))));
    }
    let cores: CpuSet = CpuSet(cpus.0.iter().flat_map(|cpu| core(host, *cpu).0).collect());
    let boot = core(host, BOOT_CPU);
    if !cores.0.is_disjoint(&boot.0) {
        let rest = without(&cores, &boot);
        let remedy = if rest.0.is_empty() { "name other CPUs: vgapt topology".to_owned() } else { format!("use --isolate {rest}") };
        return refuse(format!("the host needs the core of CPU {BOOT_CPU} ({boot}): it boots there, and keeps the time"), remedy);
    }
    let split = without(&cores, cpus);
    (!split.0.is_empty()).then(|| {
        let message = format!("the host would keep CPU {split}, which are threads of the same cores: what it runs there slows the guest");
        Finding::error("isolate", message, format!("isolate whole cores: --isolate {cores}"))
    })
}

/// The kernel parameters, with what they cost.
pub(super) fn parameters(host: &Host, cpus: &CpuSet) -> Vec<Needed> {
    let rest = without(&host.topology.online, cpus);
    let (left, all) = (rest.0.len(), host.topology.online.0.len());
    let only = |name: &str, value: String| ParameterChange::Only(format!("{name}={value}"));
    let mut needed = vec![
        Needed::new(
            only("isolcpus", format!("managed_irq,domain,{cpus}")),
            format!("the host puts no process on them by itself; it has {left} of {all} CPUs left, also while no guest runs"),
        ),
        Needed::new(
            only("irqaffinity", rest.to_string()),
            "interrupts go to the host's CPUs from the boot on; fewer CPUs share the work of fast devices",
        ),
    ];
    if host.topology.nohz_full != Reading::Absent {
        let why =
            "no tick, timers and kernel threads of the host there while one thread runs; each entry into the kernel takes longer there";
        needed.push(Needed::new(only("nohz_full", cpus.to_string()), why));
    }
    needed
}

/// What the kernel of this boot cannot do.
pub(super) fn warning(host: &Host) -> Option<Finding> {
    let remedy = "nothing, if that is enough; otherwise use a kernel that has it";
    let (seen, remedy) = match &host.topology.nohz_full {
        Reading::Known(_) => return None,
        Reading::Absent => {
            ("this kernel is built without CONFIG_NO_HZ_FULL: the tick and kernel threads stay on isolated CPUs".to_owned(), remedy)
        }
        Reading::Unknown(because) => {
            (format!("it is unknown whether this kernel has CONFIG_NO_HZ_FULL, without which nohz_full has no effect: {because}"), remedy)
        }
    };
    Some(Finding::warning("no-nohz-full", seen, remedy))
}

/// The threads of a CPU's core.
fn core(host: &Host, cpu: u32) -> CpuSet {
    let known = host.topology.cpus.iter().find(|one| one.cpu == cpu).map(|one| one.siblings.clone());
    known.unwrap_or_else(|| CpuSet([cpu].into()))
}

fn without(cpus: &CpuSet, others: &CpuSet) -> CpuSet {
    CpuSet(cpus.0.difference(&others.0).copied().collect())
}
