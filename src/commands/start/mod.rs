//! `vgapt start`.

mod checks;
mod wait;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::exit_code::{BLOCKED, TIMED_OUT};
use super::shared::existing::Existing;
use crate::model::shell_word;
use crate::output;
use checks::Facts;
use wait::{Guest, WaitResult};

/// Check the host again and start a domain
///
/// Checks first that every device is still the one that was assigned, that its group is not in use, and that no
/// process has its device nodes open: unbinding a device that a process has open hangs the kernel.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt start win11
  vgapt start win11 --wait --timeout 300")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Pause the guest before its first instruction
    #[arg(long)]
    paused: bool,
    /// Start the domain even if it is blocked
    #[arg(long)]
    force: bool,
    /// Wait until the guest is up: its agent answers, or it has an address from a libvirt network. Where the domain has
    /// neither, return at once
    #[arg(long, conflicts_with = "paused")]
    wait: bool,
    /// Maximum time to wait; then the exit code is 4, and the domain keeps running [default: no limit]
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        // Read.
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let root = context.root()?;
        let facts = Facts::read(context, connection, &self.name, &existing, root.as_ref())?;

        // Decide.
        let findings = facts.findings();
        context.tell(&findings);
        if findings.iter().any(|finding| finding.refuses(self.force)) {
            output::tell(&format!("'{}' was not started: see above. Nothing was changed.\n", self.name));
            return Ok(ExitCode::from(BLOCKED));
        }
        for step in facts.steps(&findings) {
            step_note(context, &step);
        }

        // Write.
        connection.start(&self.name, self.paused)?;
        let guest = self.wait.then(|| Guest::new(connection, &self.name, &existing.document)).transpose()?;
        let (uri, word) = (shell_word(context.uri().as_str()), shell_word(&self.name));
        let paused = if self.paused { format!(" and paused; resume it with: virsh -c {uri} resume {word}") } else { String::new() };
        context.note(&format!("'{}' is started{paused}", self.name));
        guest.map_or(Ok(ExitCode::SUCCESS), |guest| self.wait_for(context, &guest))
    }

    fn wait_for(&self, context: &Context, guest: &Guest<'_>) -> Result<ExitCode> {
        step_note(context, "waiting for the guest");
        let name = &self.name;
        match guest.wait(self.timeout.map(Duration::from_secs))? {
            WaitResult::Seen(how) => context.note(&format!("'{name}' is up: {how}")),
            WaitResult::Undetectable => context.note(&format!(
                "'{name}' is running; whether its guest is up is unknown: the domain has no channel for the guest agent, and no new address from a libvirt network"
            )),
            WaitResult::TimedOut => {
                output::tell(&format!("'{name}' is running, but its guest is not up after {} s\n", self.timeout.unwrap_or_default()));
                return Ok(ExitCode::from(TIMED_OUT));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints progress, not with --json.
fn step_note(context: &Context, step: &str) {
    if !context.global.json {
        context.note(step);
    }
}
