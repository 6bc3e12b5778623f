//! `vgapt why`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::logs::Logs;
use crate::failure::{Happened, Why};
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
        let unread = logs.unread(&why);
        if why.happened == Happened::NeverStarted
            && let (Err(error), true) = (active, unread.is_empty())
        {
            return Err(error);
        }
        context.print(&output::why(&why))?;
        context.tell(&unread);
        let outcome = if why.happened == Happened::NeverStarted && !unread.is_empty() { Outcome::Incomplete } else { Outcome::Done };
        Ok(Answer::new(outcome).with(Reason { why }).finding(unread))
    }
}

/// What `vgapt why` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reason {
    #[serde(flatten)]
    why: Why,
}
