//! Stops the desktop of a host with one card while the guest uses the card, and starts it again afterwards.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::taken::{Ledger, Taken};
use super::units::{is_running, systemctl};
use crate::model::SYSTEMD;
use crate::root::Root;
use crate::target::Target;

/// The installed display manager: distributions provide this name as an alias.
const UNIT: &str = "display-manager.service";
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
    let Some(is_running) = is_running(UNIT, target).context("the display is not handed over")? else { return Ok(()) };
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
