//! `vgapt stop`.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Context;
use crate::hypervisor::Hypervisor;
use crate::model::shell_word;
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
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let name = &self.name;
        if !connection.state(name)?.is_active() {
            context.note(&format!("'{name}' is off"));
            return Ok(ExitCode::SUCCESS);
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
        context.note(&format!("'{name}' {}", if !self.force && self.timeout == 0 { "was asked to shut down" } else { "is off" }));
        Ok(ExitCode::SUCCESS)
    }

    fn is_off_in_time(&self, connection: &dyn Hypervisor) -> Result<bool> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        while self.timeout > 0 && connection.state(&self.name)?.is_active() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(Duration::from_millis(500));
        }
        Ok(true)
    }
}
