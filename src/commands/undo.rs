//! `vgapt undo`.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::Context;
use super::exit_code::BLOCKED;
use super::shared::consent::Consent;
use crate::host::{self, Undoing, Which};
use crate::output;
use crate::problem::Problem;

/// Revert everything that prepare changed
///
/// Reverts everything that 'vgapt prepare' changed: every file gets its previous bytes and mode, new files are
/// removed, boot images are restored. Files that were edited since are shown and left unchanged.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep later edits of files, and remove only what vgapt added; a file in which the two cannot be told apart is left unchanged
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

/// What became of the receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    NothingToDo,
    /// Files were edited since, and --force was not given.
    Edited,
    DryRun,
    NotDone,
    Undone,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let root = context.root()?.filter(|root| !root.is_capture()).ok_or_else(|| {
            Problem::new("vgapt never changes a capture or a remote host", "run vgapt undo on the host itself, or use --root DIRECTORY")
        })?;
        self.consent.elevate(context, &root)?;
        let target = context.target(&root)?;

        // Read and decide, while no other vgapt changes this host.
        let lock = (!self.consent.dry_run).then(|| target.lock()).transpose()?;
        let undoing = host::undoing(&target, Which::All)?;

        // Show, ask, write.
        if !context.global.json {
            output::print(&output::undoing(&undoing))?;
            output::tell(&output::edited(&undoing));
        }
        let edited = undoing.edited().next().is_some();
        let outcome = if undoing.is_empty() {
            Outcome::NothingToDo
        } else if edited && !self.force {
            Outcome::Edited
        } else if self.consent.dry_run {
            Outcome::DryRun
        } else if self.consent.given(context, None)? {
            Outcome::Undone
        } else {
            Outcome::NotDone
        };
        // With nothing to undo, it removes what is left of a run that was killed before it changed the host.
        if outcome == Outcome::Undone || (outcome == Outcome::NothingToDo && !self.consent.dry_run) {
            host::undo(&undoing, &target, &|step| context.note(step))?;
        }
        drop(lock);
        if context.global.json {
            output::print(&output::json(&json!({"outcome": outcome, "undo": undoing, "edited": edited})))?;
        }
        Ok(report(context, outcome, &undoing))
    }
}

fn report(context: &Context, outcome: Outcome, undoing: &Undoing) -> ExitCode {
    let (strays, left, noted) = (&undoing.strays, undoing.left_alone().join(", "), !undoing.noted.is_empty());
    if !strays.is_empty() {
        output::tell(&format!("warning: not a receipt of vgapt, left unchanged: {}\n", strays.join(", ")));
    }
    let note = match outcome {
        Outcome::NothingToDo if !strays.is_empty() => "no receipt of vgapt was found; nothing was undone",
        Outcome::NothingToDo => "vgapt has changed nothing here; there is nothing to undo",
        Outcome::Undone if !left.is_empty() => {
            let run = if noted { "; run the commands above in that system" } else { "" };
            output::tell(&format!(
                "everything else is as before vgapt{run}; {left} is left unchanged: remove vgapt's lines from it manually, then run vgapt undo again\n"
            ));
            return ExitCode::from(BLOCKED);
        }
        Outcome::Undone if noted => "the tree is as before; run the commands above in that system",
        Outcome::Undone => "the host's files are as before vgapt; loaded drivers stay loaded until the next boot",
        Outcome::DryRun => "nothing was changed",
        Outcome::Edited => {
            let except = if left.is_empty() { String::new() } else { format!(", but leaves {left} unchanged") };
            output::tell(&format!("nothing was changed: see above; --force keeps these edits and removes what vgapt added{except}\n"));
            return ExitCode::from(BLOCKED);
        }
        Outcome::NotDone => {
            output::tell("nothing was changed; use --yes to make the changes\n");
            return ExitCode::from(BLOCKED);
        }
    };
    context.note(note);
    ExitCode::SUCCESS
}
