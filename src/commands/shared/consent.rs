//! The user's consent to change the host.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;

use super::context::Context;
use crate::root::Root;
use crate::{output, run};

/// Where both options are given, the harmless one counts.
pub(in crate::commands) const DRY_RUN_COUNTS: &str = "--dry-run counts, and --yes does not: nothing will be changed";

/// The user's consent.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Consent {
    /// Make the changes without asking
    #[arg(long, short)]
    yes: bool,
    /// Only show what would be changed, also with --yes
    #[arg(long)]
    pub(in crate::commands) dry_run: bool,
}

impl Consent {
    /// Runs this command again by sudo where it needs root.
    pub(in crate::commands) fn elevate(&self, context: &Context, root: &Root) -> Result<()> {
        if self.dry_run && self.yes {
            context.progress(DRY_RUN_COUNTS);
        }
        if self.dry_run { Ok(()) } else { Self::as_root(context, root) }
    }

    /// Runs this command again by sudo where it changes this host and is not root.
    pub(in crate::commands) fn as_root(context: &Context, root: &Root) -> Result<()> {
        if !root.is_live() || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        context.progress("changing this host requires root: running sudo");
        Err(run::become_root())
    }

    /// The option, else the answer on a terminal; without a terminal: no. The answer may be to show the details first.
    pub(in crate::commands) fn given(&self, context: &Context, details: Option<&dyn Fn() -> String>) -> Result<bool> {
        if self.yes || !Self::can_ask(context) {
            return Ok(self.yes);
        }
        let Some(details) = details else { return Self::ask("Make these changes?") };
        loop {
            match Self::answer("Make these changes? [y/N/d; d shows every line] ")?.as_str() {
                "d" | "D" => output::print(&details())?,
                answer => return Ok(is_yes(answer)),
            }
        }
    }

    /// Whether there is a terminal on which to ask.
    pub(in crate::commands) fn can_ask(context: &Context) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !context.global.json
    }

    /// The answer on a terminal.
    pub(in crate::commands) fn ask(question: &str) -> Result<bool> {
        Ok(is_yes(&Self::answer(&format!("{question} [y/N] "))?))
    }

    fn answer(question: &str) -> Result<String> {
        output::tell(question);
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer, "y" | "Y" | "yes")
}
