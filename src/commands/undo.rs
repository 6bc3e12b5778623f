//! `vgapt undo`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Context;
use super::exit_code::FOUND_AGAINST;
use super::shared::consent::Consent;
use crate::host::{self, Undoing, Which};
use crate::output;
use crate::problem::Problem;

/// Takes back all that 'vgapt prepare' did: every file gets back its bytes and its mode, new ones
/// go, boot images are as before. What somebody edited since is shown, and left alone.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep what was edited since, and take out only what vgapt put in; a file in which the two cannot be told apart is left as it is
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let root = context.root()?.filter(|root| !root.is_capture()).ok_or_else(|| {
            Problem::new(
                "a recorded or remote machine was never changed by vgapt",
                "run vgapt undo on the machine itself, or give --root DIRECTORY",
            )
        })?;
        if let Some(code) = self.consent.elevate(context, &root)? {
            return Ok(code);
        }
        let target = context.target(&root)?;
        let lock = (!self.consent.dry_run).then(|| target.lock()).transpose()?;
        let undoing = host::undoing(&target, Which::All)?;
        let edited = undoing.edited().next().is_some();
        if !context.global.json {
            output::print(&output::undoing(&undoing))?;
            output::tell(&output::edited(&undoing));
        }
        let shown = json!({"undo": undoing, "edited": edited});
        let (noted, strays, left) = (undoing.noted.clone(), undoing.strays.clone(), undoing.left_alone());
        let outcome = self.outcome(context, &undoing, &target)?;
        drop(lock);
        if context.global.json {
            output::print(&output::json(&json!({"outcome": outcome, "undo": shown["undo"], "edited": shown["edited"]})))?;
        }
        Ok(report(context, outcome, !noted.is_empty(), &strays, &left))
    }

    fn outcome(&self, context: &Context, undoing: &Undoing, target: &host::Target) -> Result<&'static str> {
        if undoing.is_empty() {
            if !self.consent.dry_run {
                // What a run left that was killed before it began to change the host.
                host::undo(undoing, target, &|step| context.note(step))?;
            }
            return Ok("nothing-to-do");
        }
        if !self.force && undoing.edited().next().is_some() {
            return Ok("edited");
        }
        if self.consent.dry_run || !self.consent.given(context)? {
            return Ok(if self.consent.dry_run { "dry-run" } else { "not-done" });
        }
        host::undo(undoing, target, &|step| context.note(step))?;
        Ok("undone")
    }
}

fn report(context: &Context, outcome: &str, noted: bool, strays: &[String], left: &[String]) -> ExitCode {
    if !strays.is_empty() {
        output::tell(&format!("warning: this is no receipt of vgapt's, and is left alone: {}\n", strays.join(", ")));
    }
    match outcome {
        "nothing-to-do" if !strays.is_empty() => context.note("there is no receipt of vgapt's here; nothing was taken back"),
        "nothing-to-do" => context.note("vgapt has changed nothing here; there is nothing to take back"),
        "undone" if !left.is_empty() => {
            let run = if noted { "; run the commands above in that system" } else { "" };
            let left = left.join(", ");
            output::tell(&format!(
                "all else is as it was before vgapt{run}; {left} is left as it is: take vgapt's lines out of it by hand\n"
            ));
            return ExitCode::from(FOUND_AGAINST);
        }
        "undone" if noted => context.note("the tree is as it was; run the commands above in that system"),
        "undone" => context.note("the host is as it was before vgapt; what is loaded stays so until it is booted again"),
        "dry-run" => context.note("nothing was changed"),
        "edited" => {
            let except = if left.is_empty() { String::new() } else { format!(", but leaves {} as it is", left.join(", ")) };
            output::tell(&format!("nothing was changed: see above; --force keeps these edits and takes out what vgapt put in{except}\n"));
            return ExitCode::from(FOUND_AGAINST);
        }
        _ => {
            output::tell("nothing was changed; --yes does it\n");
            return ExitCode::from(FOUND_AGAINST);
        }
    }
    ExitCode::SUCCESS
}
