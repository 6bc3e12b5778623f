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
    let CpuQuota { group, percent, .. } = worst.quota;
    // The kernel adds up the time on each host CPU, also that of others in the group: of several threads, that is the most
    // that one of them can have lost.
    let is_alone = Kind::of(group) == Kind::Vcpu;
    let (others, most) = if is_alone { ("", "") } else { (", with what else is in the group,", "up to ") };
    let whose = match of[..] {
        [vcpu] => format!("virtual CPU {}", vcpu.vcpu),
        _ => format!("{} virtual CPUs", worst.quota.threads.len()),
    };
    let kept = worst.percent.map_or_else(|| "an unknown part".to_owned(), |percent| format!("{most}{percent} %"));
    let text = format!("{whose}{others} may have {percent} % of one host CPU, and had to wait for {kept} of the time (group {group})");
    let judged = Judgement::good(code, subject, text);
    if worst.percent.is_some_and(|percent| percent < LITTLE) {
        return Some(judged);
    }
    let judged = match worst.percent.filter(|_| is_alone) {
        Some(percent) => judged.took(percent),
        None => judged.costs(cost(worst)),
    };
    Some(lifted(judged, group, seen))
}

fn cost(held: &Held<'_>) -> f64 {
    held.percent.unwrap_or(LITTLE)
}

/// The last component of a group's path.
fn name(group: &str) -> &str {
    group.rsplit_once('/').map_or(group, |(_, name)| name)
}

/// Whose a control group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// libvirt's, of a virtual CPU.
    Vcpu,
    /// libvirt's, of the domain: `libvirt` in a scope of systemd's, or where there is no systemd, `NAME.libvirt-qemu`
    /// (`virCgroupGetNested`, `virCgroupNewPartition` of libvirt).
    Domain,
    /// systemd's; a limit on it is not of libvirt's.
    Unit,
    Other,
}

impl Kind {
    fn of(group: &str) -> Self {
        match name(group) {
            name if name.starts_with("vcpu") => Self::Vcpu,
            name if name == "libvirt" || name.ends_with(".libvirt-qemu") => Self::Domain,
            name if [".slice", ".scope", ".service"].iter().any(|ending| name.ends_with(ending)) => Self::Unit,
            _ => Self::Other,
        }
    }
}

/// With what lifts the quota (virsh(1), schedinfo; systemctl(1), set-property).
fn lifted(judged: Judgement, group: &str, seen: &Seen<'_>) -> Judgement {
    let of_libvirt = |what: &str| seen.virsh("schedinfo", &format!("--live --set {what}=-1"));
    let until_stop = "that counts until it stops; the same with --config in place of --live counts from its next start on";
    match Kind::of(group) {
        Kind::Vcpu => judged.by_command(of_libvirt("vcpu_quota")).by(until_stop),
        Kind::Domain => judged.by_command(of_libvirt("global_quota")).by(until_stop),
        Kind::Unit => {
            let name = name(group);
            // A scope ends with the domain.
            let until = if name.ends_with(".scope") { "--runtime " } else { "" };
            let unit = format!("{until}{}", shell_word(name));
            // What is below a user's service is of that user's systemd.
            let is_users = group.rsplit('/').skip(1).any(|name| name.starts_with("user@"));
            if is_users {
                judged.by_command(format!("systemctl --user set-property {unit} CPUQuota=")).by("as the user whose session it is")
            } else {
                judged.by_command(format!("systemctl set-property {unit} CPUQuota="))
            }
        }
        Kind::Other => judged.by("neither libvirt nor systemd made this group: whoever did can lift its quota"),
    }
}
