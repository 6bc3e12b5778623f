//! Keeps the processes of systemd's own units (user.slice, system.slice, init.scope) off the guest's CPUs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::taken::{self, Ledger, Taken};
use crate::model::{CpuSet, SYSTEMD};
use crate::root::Root;
use crate::target::Target;

/// All of them but machine.slice, where the guests are.
const UNITS: [&str; 3] = ["user.slice", "system.slice", "init.scope"];
const MACHINES: &str = "machine.slice";
const GROUPS: &str = "/sys/fs/cgroup";
/// libvirt waits for a hook, so nothing in it may take long.
const SECONDS: &str = "5";

/// Returns messages about what was left unchanged: without isolation a guest is slower, but works.
pub(super) fn take(cpus: &CpuSet, ledger: &Ledger, root: &Root, target: &Target) -> Result<Vec<String>> {
    // Without systemd processes cannot be moved; the guest runs anyway.
    if !root.exists(SYSTEMD) {
        return Ok(Vec::new());
    }
    let _turn = taken::turn(target)?;
    let others = ledger.of_others()?;
    let of_first = others.iter().find_map(|taken| match taken {
        Taken::Slices { before, .. } if !before.is_empty() => Some(before.clone()),
        _ => None,
    });
    let mut said = Vec::new();
    let before = match of_first {
        // Another guest has moved them already: use what they had before that.
        Some(first) => first,
        None => {
            let mut before = Vec::new();
            for unit in UNITS {
                match allowed(unit, target) {
                    Ok(Some(allowed)) => before.push((unit.to_owned(), allowed)),
                    // In a tree nothing is moved.
                    Ok(None) => return Ok(Vec::new()),
                    // What cannot be read could not be restored.
                    Err(error) => said.push(format!("the processes of {unit} stay on the guest's CPUs: {error:#}")),
                }
            }
            before
        }
    };
    let rest = left(root, cpus, &others)?;
    if let Some(because) = impossible(&rest, root) {
        said.push(format!("the host's processes stay on the guest's CPUs: {because}"));
        // Nothing is to be returned; the words are for `vgapt measure`.
        ledger.note(Taken::Slices { cpus: String::new(), before: Vec::new(), said: said.clone() })?;
        return Ok(said);
    }
    said.extend(other_groups(root));
    ledger.note(Taken::Slices { cpus: cpus.to_string(), before: before.clone(), said: Vec::new() })?;
    for (unit, before) in &before {
        let set = within_allowed(before, &rest).and_then(|cpus| set(unit, &cpus.to_string(), target));
        said.extend(set.err().map(|error| format!("{error:#}")));
    }
    ledger.correct(Taken::Slices { cpus: cpus.to_string(), before, said: said.clone() })?;
    Ok(said)
}

/// Why no processes can be moved to the rest.
fn impossible(rest: &CpuSet, root: &Root) -> Option<String> {
    // systemd.resource-control(5), AllowedCPUs=: "supported only with the unified control group hierarchy".
    let controllers = root.attribute(&format!("{GROUPS}/cgroup.controllers")).unwrap_or_default();
    if !controllers.split_whitespace().any(|controller| controller == "cpuset") {
        return Some(format!("{GROUPS} has no cpuset controller of version 2"));
    }
    rest.0.is_empty().then(|| "no other CPUs are left".to_owned())
}

pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let Taken::Slices { before, .. } = taken else { return Ok(()) };
    let others = ledger.of_others()?;
    let others_run = others.iter().any(|taken| matches!(taken, Taken::Slices { before, .. } if !before.is_empty()));
    let rest = left(root, &CpuSet::default(), &others)?;
    let mut failed = None;
    for (unit, before) in before {
        let then = if others_run { within_allowed(before, &rest).map(|cpus| cpus.to_string()) } else { Ok(before.clone()) };
        if let Err(error) = then.and_then(|cpus| set(unit, &cpus, target)) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The CPUs that no guest uses. Those that were isolated at boot are for guests, and count only where there are no others.
pub(super) fn left(root: &Root, cpus: &CpuSet, others: &[Taken]) -> Result<CpuSet> {
    let set = |name: &str| -> Result<Option<CpuSet>, String> {
        let text = root.reading(&format!("/sys/devices/system/cpu/{name}")).into_result()?;
        text.map(|text| text.trim().parse()).transpose()
    };
    let online = set("online").map_err(anyhow::Error::msg)?.context("the host's CPUs cannot be read")?;
    // A kernel that does not isolate CPUs has no such file.
    let isolated = set("isolated").map_err(anyhow::Error::msg)?.unwrap_or_default();
    let mut taken: BTreeSet<u32> = cpus.0.clone();
    for other in others {
        if let Taken::Slices { cpus, .. } | Taken::Interrupts { cpus, .. } = other {
            taken.extend(cpus.parse::<CpuSet>().map_err(anyhow::Error::msg)?.0);
        }
    }
    let free = CpuSet(online.0.difference(&taken).copied().collect());
    let shared = CpuSet(free.0.difference(&isolated.0).copied().collect());
    Ok(if shared.0.is_empty() { free } else { shared })
}

/// What of these CPUs no guest has; all that none has if it is none of them.
pub(super) fn within(cpus: &CpuSet, rest: &CpuSet) -> CpuSet {
    let own = CpuSet(cpus.0.intersection(&rest.0).copied().collect());
    if own.0.is_empty() { rest.clone() } else { own }
}

/// The same of what a unit was allowed, in systemd's words: nothing is all.
fn within_allowed(before: &str, rest: &CpuSet) -> Result<CpuSet> {
    let before = CpuSet::of_all(before.split_whitespace()).map_err(anyhow::Error::msg)?;
    Ok(within(&before, rest))
}

/// What is said of processes in control groups beside systemd's own: other programs may rely on the CPUs of these.
fn other_groups(root: &Root) -> Option<String> {
    let is_populated = |name: &String| {
        let events = root.text(&format!("{GROUPS}/{name}/cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    };
    let is_other = |name: &String| name != MACHINES && !UNITS.contains(&name.as_str());
    let others: Vec<String> = root.names(GROUPS).into_iter().filter(is_other).filter(is_populated).collect();
    (!others.is_empty())
        .then(|| format!("the processes of {} may use the guest's CPUs: only those of {} are moved", others.join(", "), UNITS.join(", ")))
}

/// What a unit may use now, empty for all; `None` in a tree.
fn allowed(unit: &str, target: &Target) -> Result<Option<String>> {
    let argv = ["timeout", SECONDS, "systemctl", "show", "--property=AllowedCPUs", "--value", "--", unit].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(None) };
    if !ran.success() {
        bail!("systemctl show failed, or took more than {SECONDS} s: {}", ran.last_lines().replace('\n', " "));
    }
    Ok(Some(ran.stdout.trim().to_owned()))
}

fn set(unit: &str, cpus: &str, target: &Target) -> Result<()> {
    let property = format!("AllowedCPUs={}", cpus.replace(',', " "));
    let argv = ["timeout", SECONDS, "systemctl", "set-property", "--runtime", "--", unit, &property].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(()) };
    if !ran.success() {
        bail!("systemctl set-property {unit} {property} failed, or took more than {SECONDS} s: {}", ran.last_lines().replace('\n', " "));
    }
    Ok(())
}
