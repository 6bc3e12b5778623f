//! `vgapt stop`.

use std::time::{Duration, Instant};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing;
use crate::hypervisor::{Hypervisor, Secrets};
use crate::interrupt::{Interrupt, Interrupted};
use crate::model::shell_word;
use crate::output::{Answer, Outcome};
use crate::problem::Problem;

/// Ask a domain's guest to shut down
///
/// Asks the guest to shut down, and waits until it is off.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt stop win11
  vgapt stop win11 --force         # powers it off")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Power the guest off without asking; it loses data that it has not written
    #[arg(long)]
    force: bool,
    /// How long to wait for the guest; 0: do not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 90, conflicts_with = "force")]
    timeout: u64,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let name = &self.name;
        if connection.domain_xml(name, Secrets::LeftOut)?.is_none() {
            return Err(existing::none(connection, name).into());
        }
        if !connection.state(name)?.is_active() {
            context.note(&format!("'{name}' is off"));
            return Ok(Answer::new(Outcome::Unchanged).with(Stopped { name: name.clone(), off: true }));
        }
        if self.force {
            connection.destroy(name)?;
        } else {
            connection.shut_down(name)?;
            if !self.is_off_in_time(connection)? {
                let message = format!("'{name}' is still running after {} s", self.timeout);
                let remedy = format!("shut it down from inside the guest, or power it off: vgapt stop --force {}", shell_word(name));
                return Err(Problem::new(message, remedy).into());
            }
        }
        let off = self.force || self.timeout > 0;
        context.note(&format!("'{name}' {}", if off { "is off" } else { "was asked to shut down" }));
        Ok(Answer::done(Stopped { name: name.clone(), off }))
    }

    fn is_off_in_time(&self, connection: &dyn Hypervisor) -> Result<bool> {
        let interrupt = Interrupt::watch()?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        while self.timeout > 0 && connection.state(&self.name)?.is_active() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            interrupt.pause(Duration::from_millis(500));
            if interrupt.came() {
                return Err(Interrupted(format!("'{}' was asked to shut down, and still runs", self.name)).into());
            }
        }
        Ok(true)
    }
}

/// What `vgapt stop` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Stopped {
    name: String,
    /// Whether it is off; with --timeout 0 it was only asked to shut down.
    off: bool,
}
