//! What `vgapt setup` answers with `--json`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::own::{Said, document, global, shown};
use crate::commands::Context;
use crate::commands::shared::exit_code;
use crate::domain::Summary;
use crate::host;
use crate::model::Size;
use crate::output::Answer;
use crate::run;

/// What `vgapt setup` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct SetUp {
    pub(super) name: String,
    pub(super) host: PlannedHost,
    /// The disk that is created.
    pub(super) new_disk: Option<NewDisk>,
    /// The images that are moved, because QEMU's user cannot read them where they are.
    pub(super) moves: Vec<Move>,
    /// The file that keeps the answers until the domain is defined.
    pub(super) answers: String,
    /// What the domain will be for its user.
    pub(super) summary: Summary,
    /// What becomes different, in words, if the domain exists.
    pub(super) changes: Vec<String>,
    /// The commands of the plan, in their order.
    pub(super) commands: Vec<String>,
    /// Those that were run, and those that prepare the rest.
    pub(super) steps: Vec<Step>,
    /// Whether the host has to be rebooted.
    pub(super) reboot: bool,
    /// The command that continues, if not all is done.
    pub(super) again: Option<String>,
}

/// The host's part of the plan.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct PlannedHost {
    /// The files that are written, in order.
    pub(super) files: Vec<String>,
    /// The commands that are run after that, in order.
    pub(super) commands: Vec<host::Command>,
    /// Why the host has to be rebooted; empty if it does not.
    pub(super) reboot: Vec<String>,
    /// What only the user can do, in the firmware settings.
    pub(super) firmware: Vec<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct NewDisk {
    pub(super) path: String,
    /// The size that the guest sees, in bytes.
    pub(super) size: Size,
}

/// An image that is moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Move {
    pub(super) from: String,
    pub(super) to: String,
}

/// A vgapt command that was run.
#[derive(Serialize, JsonSchema)]
pub(super) struct Step {
    argv: Vec<String>,
    /// Its document.
    document: Value,
}

/// What `prepare` answers, as far as setup reads it.
#[derive(Deserialize)]
pub(super) struct HostPart {
    pub(super) plan: HostPlan,
}

#[derive(Deserialize)]
pub(super) struct HostPlan {
    pub(super) writes: Vec<HostFile>,
    pub(super) commands: Vec<host::Command>,
    pub(super) reboot: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct HostFile {
    pub(super) path: String,
}

impl SetUp {
    /// Runs a command of vgapt's on this terminal, or for its document; an answer where it failed.
    pub(super) fn step(&mut self, context: &Context, told: &[String], argv: &[String], again: &str) -> Result<Option<Answer>> {
        context.note(&format!("$ {}", shown(told)));
        let failed = if context.global.json {
            let document = document(context, argv)?;
            let said: Said<Value> = Said::of(argv, &document)?;
            self.steps.push(Step { argv: argv.to_vec(), document });
            (exit_code::of(said.outcome) != 0)
                .then(|| Answer { error: said.error, ..Answer::new(said.outcome).finding(said.findings).next(said.next) })
        } else {
            let code = run::own(&global(context, argv))?;
            (code != 0).then(|| Answer::new(exit_code::outcome(code)))
        };
        if failed.is_some() {
            context.say(&format!("that step failed; correct what it names, then continue with: {again}\n"));
            self.again = Some(again.to_owned());
        }
        Ok(failed)
    }
}
