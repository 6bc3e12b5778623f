//! The desktop of a host with one card lets go of it while the guest has it, and comes back after it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Holders;
use super::taken::{Ledger, Taken};
use crate::model::SYSTEMD;
use crate::root::Root;
use crate::run;

/// Whatever display manager is installed: distributions let this name lead to it.
const UNIT: &str = "display-manager.service";
/// How long systemd may take to stop it or start it.
const SECONDS: &str = "30";
/// A session ends some time after its display: systemd leaves a user's services ten seconds.
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(200);

/// Stops the display manager if it runs, and waits until nobody holds the card.
pub(super) fn take(ledger: &Ledger, root: &Root, holders: Holders<'_>) -> Result<()> {
    if !root.exists(SYSTEMD) {
        bail!("the display is not handed over: that needs systemd, to stop the display manager and start it again");
    }
    if is_running()? {
        ledger.note(Taken::DisplayManager { unit: UNIT.to_owned() })?;
        systemctl("stop", UNIT)?;
    }
    let end = Instant::now() + PATIENCE;
    while let Some(held) = holders() {
        if Instant::now() >= end {
            bail!("the display is not handed over: {held}, {} s after the display manager ended", PATIENCE.as_secs());
        }
        sleep(INTERVAL);
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken) -> Result<()> {
    let Taken::DisplayManager { unit } = taken else { return Ok(()) };
    systemctl("start", unit)
}

/// One that is on its way up counts: it would have the card a moment later.
fn is_running() -> Result<bool> {
    let argv = ["timeout", SECONDS, "systemctl", "is-active", UNIT].map(str::to_owned);
    let state = run::output(&argv)?.stdout;
    Ok(matches!(state.trim(), "active" | "activating" | "reloading"))
}

fn systemctl(verb: &str, unit: &str) -> Result<()> {
    let argv = ["timeout", SECONDS, "systemctl", verb, unit].map(str::to_owned);
    let ran = run::output(&argv)?;
    if !ran.success() {
        bail!("systemctl {verb} {unit} failed, or took more than {SECONDS} s: {}", ran.last_words().replace('\n', " "));
    }
    Ok(())
}
