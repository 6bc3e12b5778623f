//! Quotas of CPU time: what control groups keep from the virtual CPUs.

use super::seen::{LITTLE, Seen};
use crate::measure::differences::Held;
use crate::measure::measured::{Judgement, VcpuTimes};
use crate::model::{CpuQuota, Reading, shell_word};

/// The group that held them back most; else the tightest one that they could reach.
pub(super) fn quota(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("quota", "quota of CPU time");
    let held = match seen.held {
        Reading::Known(held) => held,
        Reading::Unknown(because) => return Some(Judgement::unknown(code, subject, because)),
        Reading::Absent => return None,
    };
    // One for more host CPUs than there are virtual ones keeps nothing from them.
    let is_reached = |held: &&Held<'_>| held.quota.percent < 100 * held.quota.threads.len() as u64 || held.percent >= Some(LITTLE);
    let Some(worst) = held.iter().filter(is_reached).max_by(|one, other| cost(one).total_cmp(&cost(other))) else {
        return Some(Judgement::good(code, subject, "no quota keeps host CPUs from the virtual ones"));
    };
    let of: Vec<&VcpuTimes> = seen.vcpus.iter().filter(|vcpu| worst.quota.threads.contains(&vcpu.thread)).collect();
    let (whose, each) = match of[..] {
        [vcpu] => (format!("virtual CPU {}", vcpu.vcpu), ""),
        _ => (format!("{} virtual CPUs together", worst.quota.threads.len()), "each "),
    };
    let CpuQuota { group, percent, .. } = worst.quota;
    let kept = worst.percent.map_or_else(|| "an unknown part".to_owned(), |percent| format!("{percent} %"));
    let text = format!("{whose} may have {percent} % of one host CPU, and {each}was kept from it for {kept} of the time (group {group})");
    let judged = Judgement::good(code, subject, text);
    if worst.percent.is_some_and(|percent| percent < LITTLE) {
        return Some(judged);
    }
    let judged = Judgement { costs_percent: worst.percent, ..judged.costs(cost(worst)) };
    Some(match lifted(group, seen) {
        Some(command) => judged.by_command(command),
        None => judged.by("it is not libvirt's: whoever made the group can lift its quota"),
    })
}

fn cost(held: &Held<'_>) -> f64 {
    held.percent.unwrap_or(LITTLE)
}

/// libvirt makes a group for each virtual CPU and one for the domain, in one of systemd's
/// (virDomainCgroupSetupGlobalCpuCgroup, virDomainCgroupSetupVcpuBW; virsh(1), schedinfo).
fn lifted(group: &str, seen: &Seen<'_>) -> Option<String> {
    let name = group.rsplit('/').next()?;
    let of_libvirt = |what: &str| Some(seen.virsh("schedinfo", &format!("--live --config --set {what}=-1")));
    match name {
        _ if name.starts_with("vcpu") => of_libvirt("vcpu_quota"),
        "libvirt" => of_libvirt("global_quota"),
        _ if name.starts_with("machine-qemu") || name.ends_with(".libvirt-qemu") => of_libvirt("global_quota"),
        _ if name.ends_with(".slice") => Some(format!("systemctl set-property {} CPUQuota=", shell_word(name))),
        _ => None,
    }
}
