//! Keeps the host's own processes off the guest's CPUs: with systemd, in all slices but machine.slice.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::taken::{self, Ledger, Taken};
use crate::model::{CpuSet, SYSTEMD};
use crate::root::Root;
use crate::target::Target;

/// Everything but machine.slice, where the guests are.
const UNITS: [&str; 3] = ["user.slice", "system.slice", "init.scope"];
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
    let of_first = others.iter().find_map(|taken| if let Taken::Slices { before, .. } = taken { Some(before.clone()) } else { None });
    let mut left_alone = Vec::new();
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
                    Err(error) => left_alone.push(format!("the processes of {unit} stay on the guest's CPUs: {error:#}")),
                }
            }
            before
        }
    };
    let rest = left(root, cpus, &others)?;
    if before.is_empty() || rest.0.is_empty() {
        return Ok(left_alone);
    }
    ledger.note(Taken::Slices { cpus: cpus.to_string(), before: before.clone() })?;
    for (unit, _) in &before {
        left_alone.extend(set(unit, &rest.to_string(), target).err().map(|error| format!("{error:#}")));
    }
    Ok(left_alone)
}

pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let Taken::Slices { before, .. } = taken else { return Ok(()) };
    let others = ledger.of_others()?;
    let others_run = others.iter().any(|taken| matches!(taken, Taken::Slices { .. }));
    let rest = if others_run { left(root, &CpuSet::default(), &others)?.to_string() } else { String::new() };
    let mut failed = None;
    for (unit, before) in before {
        if let Err(error) = set(unit, if others_run { &rest } else { before }, target) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The CPUs that no guest uses.
pub(super) fn left(root: &Root, cpus: &CpuSet, others: &[Taken]) -> Result<CpuSet> {
    let text = root.attribute("/sys/devices/system/cpu/online").context("the host's CPUs cannot be read")?;
    let online: CpuSet = text.parse().map_err(anyhow::Error::msg)?;
    let mut taken: BTreeSet<u32> = cpus.0.clone();
    for other in others {
        if let Taken::Slices { cpus, .. } | Taken::Interrupts { cpus, .. } = other {
            taken.extend(cpus.parse::<CpuSet>().map_err(anyhow::Error::msg)?.0);
        }
    }
    Ok(CpuSet(online.0.difference(&taken).copied().collect()))
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
