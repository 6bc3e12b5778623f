//! Moves the interrupts of the host's devices off the guest's CPUs, where each one stops the guest.
//!
//! Those of the passed functions too: the guest's driver requests them after the start, and the kernel places them by
//! `default_smp_affinity`. On a host CPU beside the guest, KVM posts them into the running guest, which does not exit
//! (`kvm_vcpu_trigger_posted_interrupt` of arch/x86/kvm/vmx); on the guest's own CPU each is an exit first. Where the IOMMU
//! posts them itself, their CPU does not matter.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::isolation::within;
use super::taken::{self, Interrupt, Ledger, Taken};
use super::{irqbalance, isolation};
use crate::model::{CpuSet, Reading};
use crate::root::Root;
use crate::target::Target;

const INTERRUPTS: &str = "/proc/irq";
/// Where interrupts go that are requested later: a mask (Documentation/core-api/irq/irq-affinity.rst).
const DEFAULT: &str = "/proc/irq/default_smp_affinity";

/// Returns messages about what was left unchanged: the guest is slower with it, but works.
pub(super) fn take(cpus: &CpuSet, ledger: &Ledger, root: &Root, target: &Target) -> Result<Vec<String>> {
    let stay = |because: &str| Ok(vec![format!("the host's interrupts stay on the guest's CPUs: {because}")]);
    let numbers: Vec<u32> = match root.entries(INTERRUPTS) {
        Reading::Known(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
        Reading::Absent => return Ok(Vec::new()),
        Reading::Unknown(because) => return stay(&because),
    };
    let _turn = taken::turn(target)?;
    let others = ledger.of_others()?;
    let rest = isolation::left(root, cpus, &others)?;
    if rest.0.is_empty() {
        return stay("no other CPUs are left");
    }
    // First, because it would move them back.
    let mut left_alone: Vec<String> = irqbalance::take(cpus, ledger, root, target)?.into_iter().collect();
    let (mut interrupts, mut requested) = (Vec::new(), CpuSet::default());
    let mut moves = Vec::new();
    for number in numbers {
        let (now, of) = match (affinity(root, number), of(root, number)) {
            (Reading::Known(now), Reading::Known(of)) => (now, of),
            (Reading::Unknown(because), _) | (_, Reading::Unknown(because)) => {
                left_alone.push(format!("interrupt {number} may stay on the guest's CPUs: {because}"));
                continue;
            }
            _ => continue,
        };
        requested.0.insert(number);
        if now.0.is_disjoint(&cpus.0) {
            continue;
        }
        moves.push((number, of.clone(), within(&now, &rest)));
        let before = moved_by(&others).find(|one| one.number == number && is_same(&one.of, &of)).map(|one| one.before.clone());
        interrupts.push(Interrupt { number, of, before: before.unwrap_or_else(|| now.to_string()) });
    }
    let default = root.reading(DEFAULT).into_result().map_err(anyhow::Error::msg)?.map(|text| text.trim().to_owned());
    let default_now = default.as_deref().map(CpuSet::of_mask).transpose().map_err(anyhow::Error::msg)?;
    let default_of_first =
        others.iter().find_map(|taken| if let Taken::Interrupts { default, .. } = taken { default.clone() } else { None });
    let default = default_of_first.or(default);
    let record = |interrupts: Vec<Interrupt>, fixed: Vec<String>, said: Vec<String>| Taken::Interrupts {
        cpus: cpus.to_string(),
        interrupts,
        default: default.clone(),
        fixed,
        requested: requested.to_string(),
        said,
    };
    ledger.note(record(interrupts.clone(), Vec::new(), Vec::new()))?;
    if let Some(now) = default_now.filter(|now| !now.0.is_disjoint(&cpus.0)) {
        left_alone.extend(target.set_attribute(DEFAULT, &within(&now, &rest).to_mask()).err().map(|error| format!("{error:#}")));
    }
    let (mut fixed, mut refused, mut why) = (Vec::new(), Vec::new(), None);
    for (number, of, then) in moves {
        if let Err(error) = target.set_attribute(&path(number), &then.to_string()) {
            match affinity(root, number) {
                // It was moved all the same, and is to be returned.
                Reading::Known(is) if is == then => continue,
                Reading::Known(_) => interrupts.retain(|one| one.number != number),
                Reading::Absent | Reading::Unknown(_) => {}
            }
            // It may have these CPUs in its list, and go to another one of them.
            let on = root.attribute(&format!("{INTERRUPTS}/{number}/effective_affinity_list")).and_then(|list| list.parse().ok());
            if on.is_none_or(|on: CpuSet| !on.0.is_disjoint(&cpus.0)) {
                refused.push(format!("{number} ({of})"));
                fixed.push(number.to_string());
                why.get_or_insert(error);
            }
        }
    }
    // EIO, since Linux 6.12 EPERM (`write_irq_affinity` of kernel/irq/proc.c): the kernel itself places what a driver lets it manage.
    left_alone.extend(why.map(|error| {
        format!(
            "the kernel does not let these interrupts be moved off the guest's CPUs: {}: {error:#}; if it manages them: vgapt prepare --isolate {cpus}",
            refused.join(", ")
        )
    }));
    ledger.correct(record(interrupts, fixed, left_alone.clone()))?;
    Ok(left_alone)
}

/// What the start of a domain left where it was.
#[derive(Debug, Clone, Default)]
pub struct LeftAlone {
    /// The numbers of the interrupts that could not be moved.
    pub fixed: Vec<String>,
    /// Which interrupts are left, and why.
    pub interrupts: Vec<String>,
    /// Which processes are left, and why.
    pub processes: Vec<String>,
}

/// What the start of this domain left where it was.
///
/// # Errors
/// Where the record cannot be read.
pub fn left_alone(name: &str, root: &Root, target: &Target) -> Result<LeftAlone> {
    let mut left = LeftAlone::default();
    for taken in Ledger::of(target, name).all()? {
        left.interrupts.extend(irqbalance::restarted(&taken, root));
        match taken {
            Taken::Interrupts { fixed, said, .. } => {
                left.fixed.extend(fixed);
                left.interrupts.extend(said);
            }
            Taken::Slices { said, .. } => left.processes.extend(said),
            _ => {}
        }
    }
    Ok(left)
}

pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let Taken::Interrupts { interrupts, default, requested, .. } = taken else { return Ok(()) };
    let others = ledger.of_others()?;
    let others_run = others.iter().any(|taken| matches!(taken, Taken::Interrupts { .. }));
    let rest = isolation::left(root, &CpuSet::default(), &others)?;
    let then = |before: CpuSet| if others_run { within(&before, &rest) } else { before };
    let mut failed = None;
    if let Some(default) = default {
        let before = CpuSet::of_mask(default).map_err(anyhow::Error::msg)?;
        let text = if others_run { then(before.clone()).to_mask() } else { default.clone() };
        let requested: CpuSet = requested.parse().map_err(anyhow::Error::msg)?;
        failed = later(&requested, &then(before), root, target).err();
        if root.attribute(DEFAULT).is_none_or(|now| now != text) {
            failed = failed.or(target.set_attribute(DEFAULT, &text).err());
        }
    }
    for one in interrupts {
        // What its device no longer has is not given to another one.
        let is_same = match of(root, one.number) {
            Reading::Known(of) => is_same(&one.of, &of),
            Reading::Absent => false,
            Reading::Unknown(because) => {
                failed.get_or_insert(anyhow::Error::msg(because));
                continue;
            }
        };
        let before = then(one.before.parse().map_err(anyhow::Error::msg)?);
        // Not written where the move never came, or was refused, before this program was killed.
        if is_same && affinity(root, one.number) != Reading::Known(before.clone()) {
            failed = failed.or(target.set_attribute(&path(one.number), &before.to_string()).err());
        }
    }
    failed.map_or(Ok(()), Err).context("not all interrupts went back to the CPUs that they had before")
}

/// Those that were requested while the guest ran went to what was left of the default; they follow it when it comes back.
fn later(requested: &CpuSet, then: &CpuSet, root: &Root, target: &Target) -> Result<()> {
    // A record of an earlier version has no numbers, so that all would be later ones.
    let Some(now) = root.attribute(DEFAULT).filter(|_| !requested.0.is_empty()) else { return Ok(()) };
    let now = CpuSet::of_mask(&now).map_err(anyhow::Error::msg)?;
    for number in root.names(INTERRUPTS).iter().filter_map(|name| name.parse::<u32>().ok()) {
        if requested.0.contains(&number) || now == *then || !matches!(of(root, number), Reading::Known(_)) {
            continue;
        }
        // The kernel takes those of the device's node, if there are some (`irq_setup_affinity` of kernel/irq/manage.c).
        let node = root.attribute(&format!("{INTERRUPTS}/{number}/node")).filter(|node| node != "-1");
        let of_node = node.and_then(|node| root.attribute(&format!("/sys/devices/system/node/node{node}/cpulist")));
        let of_node = of_node.map(|list| list.parse::<CpuSet>()).transpose().map_err(anyhow::Error::msg)?;
        let placed = |cpus: &CpuSet| {
            of_node.as_ref().map_or_else(
                || cpus.clone(),
                |of_node| {
                    let near = CpuSet(cpus.0.intersection(&of_node.0).copied().collect());
                    if near.0.is_empty() { cpus.clone() } else { near }
                },
            )
        };
        if affinity(root, number) == Reading::Known(placed(&now)) {
            target.set_attribute(&path(number), &placed(then).to_string())?;
        }
    }
    Ok(())
}

/// Whether one of those that requested it is the same, but for the guest: a line can be shared with a passed device.
fn is_same(before: &str, now: &str) -> bool {
    let of_host = |names: &str| -> BTreeSet<String> {
        names.split(',').map(str::trim).filter(|name| !name.starts_with("vfio-")).map(str::to_owned).collect()
    };
    before == now || !of_host(before).is_disjoint(&of_host(now))
}

fn moved_by(others: &[Taken]) -> impl Iterator<Item = &Interrupt> {
    others.iter().flat_map(|taken| if let Taken::Interrupts { interrupts, .. } = taken { interrupts.as_slice() } else { &[] })
}

fn path(number: u32) -> String {
    format!("{INTERRUPTS}/{number}/smp_affinity_list")
}

fn affinity(root: &Root, number: u32) -> Reading<CpuSet> {
    root.reading(&path(number)).and_then(|list| list.trim().parse())
}

/// Who requested it; absent where nobody has, and it never comes.
fn of(root: &Root, number: u32) -> Reading<String> {
    match root.reading(&format!("/sys/kernel/irq/{number}/actions")) {
        Reading::Known(of) if of.trim().is_empty() => Reading::Absent,
        of => of.map(|of| of.trim().to_owned()),
    }
}
