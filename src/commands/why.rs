//! `vgapt why`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::logs::Logs;
use crate::failure::{Happened, Why};
use crate::model::{Finding, shell_word};
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;

/// Say why a domain's last start failed, or why its guest died
///
/// Reads libvirt's log of the domain, the log of libvirt's daemon and the kernel's log, each since the last start. A line
/// that is known is shown with what it means and the remedy; of others the last lines are shown, for a report.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt why win11
  vgapt why win11 --json")]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        if context.host_is_behind_libvirt() {
            return Err(Problem::new(
                format!("the logs of {} are on another machine", context.uri()),
                format!("run it there: vgapt why {}", self.name),
            )
            .into());
        }
        let root = context.own_root()?;
        // A libvirt that does not answer is a reason more to look at the logs.
        let active = if root.is_live() {
            context.connect().and_then(|connection| connection.state(&self.name)).map(|state| Some(state.is_active()))
        } else {
            Ok(None)
        };
        let logs = Logs::read(context, &root, &self.name);
        let why = logs.why(&self.name, *active.as_ref().unwrap_or(&None), None);
        let mut findings = logs.unread(&why);
        if let Err(error) = active {
            // Without a log, what libvirt says of the name is the answer.
            if why.happened == Happened::NeverStarted {
                context.tell(&findings);
                return Err(error);
            }
            let message = format!("whether '{}' runs is unknown: {error}", self.name);
            findings.push(Finding::warning(
                "state-unknown",
                message,
                format!("virsh -c {} list --all", shell_word(context.uri().as_str())),
            ));
        }
        context.print(&output::why(&why))?;
        context.tell(&findings);
        let outcome = if why.happened == Happened::NeverStarted && !findings.is_empty() { Outcome::Incomplete } else { Outcome::Done };
        Ok(Answer::new(outcome).with(Reason { why }).finding(findings))
    }
}

/// What `vgapt why` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reason {
    #[serde(flatten)]
    why: Why,
}
