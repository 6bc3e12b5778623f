//! What the commands that change the host share: whether it may be done, and where.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::host::Target;
use crate::root::Root;
use crate::{output, run};

/// Whether it may be done.
#[derive(Debug, clap::Args)]
pub(super) struct Consent {
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
}

impl Consent {
    /// Says that root is needed, and lets sudo do the rest.
    pub(super) fn elevate(&self, context: &Context, root: &Root) -> Result<Option<ExitCode>> {
        if self.dry_run || !root.is_live() || rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        context.note("changing this host needs root: sudo does the rest");
        Err(run::become_root())
    }

    /// The option, else the answer on a terminal; nobody there to ask means no.
    pub(super) fn given(&self, context: &Context) -> Result<bool> {
        if self.yes || !Self::can_ask(context) {
            return Ok(self.yes);
        }
        Self::ask("Do this?")
    }

    /// Whether there is somebody to ask.
    pub(super) fn can_ask(context: &Context) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !context.global.json
    }

    /// The answer on a terminal.
    pub(super) fn ask(question: &str) -> Result<bool> {
        output::tell(&format!("{question} [y/N] "));
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// The host that is changed.
pub(super) fn target(context: &Context, root: &Root) -> Result<Target> {
    Target::open(context.global.root.as_deref().unwrap_or(Path::new("/")), root.is_live())
}
