//! Runs the guest's CPUs at full speed while it runs: the guest cannot request that itself.

use anyhow::Result;

use super::taken::{Ledger, Taken};
use crate::model::CpuSet;
use crate::root::Root;
use crate::target::Target;

const FULL_SPEED: &str = "performance";

pub(super) fn take(cpus: &CpuSet, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    for cpu in &cpus.0 {
        let home = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq");
        let attribute = format!("{home}/scaling_governor");
        let Some(before) = root.attribute(&attribute).filter(|governor| governor != FULL_SPEED) else { continue };
        let known = root.attribute(&format!("{home}/scaling_available_governors")).unwrap_or_default();
        if known.split_whitespace().any(|governor| governor == FULL_SPEED) {
            // Returned after the governor: amd-pstate keeps the preference that goes with full speed
            // (`amd_pstate_epp_update_limit` of drivers/cpufreq/amd-pstate.c), and takes no other one before.
            let preference = format!("{home}/energy_performance_preference");
            if let Some(before) = root.attribute(&preference) {
                ledger.note(Taken::Governor { attribute: preference, before })?;
            }
            ledger.note(Taken::Governor { attribute: attribute.clone(), before })?;
            // Best effort: the guest runs without it.
            let _ = target.set_attribute(&attribute, FULL_SPEED);
        }
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken, target: &Target) -> Result<()> {
    let Taken::Governor { attribute, before } = taken else { return Ok(()) };
    target.set_attribute(attribute, before)
}
