//! Stops the desktop of a host with one card while the guest uses the card, and starts it again afterwards.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::taken::{Ledger, Taken};
use crate::model::SYSTEMD;
use crate::root::Root;
use crate::target::Target;

/// The installed display manager: distributions provide this name as an alias.
const UNIT: &str = "display-manager.service";
/// How long systemd may take to stop it or start it.
const SECONDS: &str = "30";
/// A session ends some time after its display: systemd gives a user's services ten seconds.
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(200);

/// Says which processes still have the devices open; called repeatedly.
pub type Holders<'a> = &'a dyn Fn() -> Option<String>;

/// Stops the display manager if it runs, and waits until no process has the card open.
pub(super) fn take(ledger: &Ledger, root: &Root, target: &Target, holders: Holders<'_>) -> Result<()> {
    if !root.exists(SYSTEMD) {
        bail!("the display is not handed over: that needs systemd, to stop the display manager and start it again");
    }
    // In a tree nothing runs, so no process has the card open.
    let Some(is_running) = is_running(target)? else { return Ok(()) };
    if is_running {
        ledger.note(Taken::DisplayManager { unit: UNIT.to_owned() })?;
        systemctl("stop", UNIT, target)?;
    }
    let end = Instant::now() + PATIENCE;
    while let Some(held) = holders() {
        if Instant::now() >= end {
            bail!("the display is not handed over: {held}, {} s after the display manager stopped", PATIENCE.as_secs());
        }
        sleep(INTERVAL);
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken, target: &Target) -> Result<()> {
    let Taken::DisplayManager { unit } = taken else { return Ok(()) };
    systemctl("start", unit, target)
}

/// A starting display manager counts as running: it would open the card a moment later. `None` in a tree.
fn is_running(target: &Target) -> Result<Option<bool>> {
    let argv = ["timeout", SECONDS, "systemctl", "is-active", "--", UNIT].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(None) };
    match ran.stdout.trim() {
        "active" | "activating" | "reloading" => Ok(Some(true)),
        "inactive" | "failed" | "deactivating" | "maintenance" | "unknown" => Ok(Some(false)),
        _ => bail!("the display is not handed over: it is unknown whether {UNIT} is running: {}", ran.last_lines().replace('\n', " ")),
    }
}

fn systemctl(verb: &str, unit: &str, target: &Target) -> Result<()> {
    let argv = ["timeout", SECONDS, "systemctl", verb, "--", unit].map(str::to_owned);
    let Some(ran) = target.run(&argv)? else { return Ok(()) };
    if !ran.success() {
        bail!("systemctl {verb} {unit} failed, or took more than {SECONDS} s: {}", ran.last_lines().replace('\n', " "));
    }
    Ok(())
}
