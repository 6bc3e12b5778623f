//! Whether a guest can be shown the host's caches as they are.

use std::collections::BTreeSet;

use super::{Core, cores};
use crate::model::Topology;

/// Whether the caches of each CPU of the host are those of the guest: of the same sizes, and shared by the same virtual CPUs.
/// QEMU asks the CPU on which it happens to run, which is none of the guest's, and passes on how many threads share each
/// cache (`x86_cpu_get_cache_cpuid` of its target/i386/cpu.c; of the numbers it corrects only those that exceed a socket). A
/// guest reads from that number, rounded up to a power of two, which of its processors share one, and it is that of the
/// hardware: Intel says two threads also where a core has one, or one is offline. So the guest's cores are whole ones with
/// several threads, and each of its dies is one L3 cache, of the host's size where there are several.
///
/// `vcpus` are the host CPUs of the virtual ones, in order.
pub fn are_hosts_caches(topology: &Topology, vcpus: &[u32], threads: u32, of_a_die: u32) -> bool {
    let all = cores(topology);
    let core_of = |cpu: &u32| all.iter().find(|core| core.cpus.contains(cpu));
    let chosen: Option<Vec<&Core>> = vcpus.iter().map(core_of).collect();
    let (Some(chosen), Ok(threads), Ok(of_a_die)) = (chosen, usize::try_from(threads), usize::try_from(of_a_die)) else { return false };
    let are_whole = chosen.chunks(threads.max(1)).zip(vcpus.chunks(threads.max(1))).all(|(cores, vcpus)| {
        let cpus: BTreeSet<u32> = vcpus.iter().copied().collect();
        cpus == cores[0].cpus.iter().copied().collect() && cpus.len() == threads
    });
    let kind = |core: &Core| (core.is_efficient, core.is_low_power, core.l3_kib);
    let are_alike = all.iter().all(|core| core.l3_kib > 0 && kind(core) == kind(&all[0]));
    threads > 1 && are_whole && are_alike && are_dies_caches(&all, &chosen, of_a_die.max(1))
}

/// Whether each of the guest's dies is in an L3 cache of its own; of several each has as many threads as the hardware says.
fn are_dies_caches(all: &[Core], chosen: &[&Core], of_a_die: usize) -> bool {
    let dies: Vec<BTreeSet<usize>> = chosen.chunks(of_a_die).map(|die| die.iter().map(|core| core.l3).collect()).collect();
    let caches: BTreeSet<usize> = dies.iter().flatten().copied().collect();
    let on_host = |l3: usize| all.iter().filter(|core| core.l3 == l3).map(|core| core.cpus.len()).sum::<usize>();
    let is_of_size = |l3: &usize| on_host(*l3).next_power_of_two() == of_a_die.next_power_of_two();
    dies.iter().all(|die| die.len() == 1) && dies.len() == caches.len() && (caches.len() == 1 || caches.iter().all(is_of_size))
}
