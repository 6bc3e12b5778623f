//! The host's own processes keep off the guest's CPUs: by systemd, in all that is not a machine.

use std::collections::BTreeSet;

use anyhow::Result;

use super::taken::{Ledger, Taken};
use crate::host::target::Target;
use crate::model::{CpuSet, SYSTEMD};
use crate::root::Root;
use crate::run;

/// Everything but machine.slice, where the guests are.
const UNITS: [&str; 3] = ["user.slice", "system.slice", "init.scope"];
/// A hook holds up libvirt, so nothing in it may take long.
const SECONDS: &str = "5";

pub(super) fn take(cpus: &CpuSet, ledger: &Ledger, root: &Root, _: &Target) -> Result<()> {
    // Without systemd there is nothing to move processes with; the guest runs all the same.
    if !root.exists(SYSTEMD) {
        return Ok(());
    }
    let before = UNITS.iter().map(|unit| ((*unit).to_owned(), allowed(unit))).collect();
    let before =
        match ledger.of_others().into_iter().find_map(|taken| if let Taken::Slices { before, .. } = taken { Some(before) } else { None }) {
            // Another guest has moved them already: what they had before that is what counts.
            Some(first) => first,
            None => before,
        };
    ledger.note(Taken::Slices { cpus: cpus.to_string(), before })?;
    let rest = left(root, cpus, ledger);
    if !rest.0.is_empty() {
        for unit in UNITS {
            set(unit, &rest.to_string());
        }
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root) {
    let Taken::Slices { before, .. } = taken else { return };
    let others_run = ledger.of_others().iter().any(|taken| matches!(taken, Taken::Slices { .. }));
    let rest = left(root, &CpuSet::default(), ledger).to_string();
    for (unit, before) in before {
        set(unit, if others_run { &rest } else { before });
    }
}

/// The CPUs that no guest has.
fn left(root: &Root, cpus: &CpuSet, ledger: &Ledger) -> CpuSet {
    let online: CpuSet = root.attribute("/sys/devices/system/cpu/online").and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut taken: BTreeSet<u32> = cpus.0.clone();
    for other in ledger.of_others() {
        if let Taken::Slices { cpus, .. } = other {
            taken.extend(cpus.parse::<CpuSet>().unwrap_or_default().0);
        }
    }
    CpuSet(online.0.difference(&taken).copied().collect())
}

fn allowed(unit: &str) -> String {
    let argv = ["timeout", SECONDS, "systemctl", "show", "--property=AllowedCPUs", "--value", unit].map(str::to_owned);
    run::output(&argv).map(|ran| ran.stdout.trim().to_owned()).unwrap_or_default()
}

/// Best effort: a guest whose neighbours stay is slower, and not broken.
fn set(unit: &str, cpus: &str) {
    let property = format!("AllowedCPUs={}", cpus.replace(',', " "));
    let argv = ["timeout", SECONDS, "systemctl", "set-property", "--runtime", unit, &property].map(str::to_owned);
    let _ = run::output(&argv);
}
