//! Units of systemd that let go of the card while the guest uses it: the display manager, and what keeps a driver's devices open.

use anyhow::{Result, bail};

use super::taken::{Ledger, Taken};
use crate::model::SYSTEMD;
use crate::root::Root;
use crate::target::Target;

/// How long systemd may take to stop a unit or start it.
const SECONDS: &str = "30";

/// Stops those of these services that run.
pub(super) fn take(services: &[&str], ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    // Without systemd nothing here knows how they were started; who has the card open is looked for afterwards.
    if !root.exists(SYSTEMD) {
        return Ok(());
    }
    for unit in services {
        if is_running(unit, target)? == Some(true) {
            ledger.note(Taken::Service { unit: (*unit).to_owned() })?;
            systemctl("stop", unit, target)?;
        }
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken, target: &Target) -> Result<()> {
    let Taken::Service { unit } = taken else { return Ok(()) };
    systemctl("start", unit, target)
}

/// A starting unit counts as running: it would open the card a moment later. `None` in a tree.
pub(super) fn is_running(unit: &str, target: &Target) -> Result<Option<bool>> {
    let argv = ["timeout", SECONDS, "systemctl", "is-active", "--", unit].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(None) };
    match ran.stdout.trim() {
        "active" | "activating" | "reloading" => Ok(Some(true)),
        "inactive" | "failed" | "deactivating" | "maintenance" | "unknown" => Ok(Some(false)),
        _ => bail!("it is unknown whether {unit} is running: {}", ran.last_lines().replace('\n', " ")),
    }
}

pub(super) fn systemctl(verb: &str, unit: &str, target: &Target) -> Result<()> {
    let argv = ["timeout", SECONDS, "systemctl", verb, "--", unit].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(()) };
    if !ran.success() {
        bail!("systemctl {verb} {unit} failed, or took more than {SECONDS} s: {}", ran.last_lines().replace('\n', " "));
    }
    Ok(())
}
