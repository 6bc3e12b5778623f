//! `vgapt why`.

use anyhow::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing;
use super::shared::logs::Logs;
use crate::failure::Why;
use crate::hypervisor::{Secrets, State};
use crate::life;
use crate::model::Finding;
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
            self.state(context)?.ok_or_else(|| self.none(context))?;
            let (message, remedy) = if context.uri().is_test() {
                (format!("{} starts no guests, so that there are no logs", context.uri()), "name the libvirt of the domain with --connect")
            } else {
                (format!("the logs of {} are on another machine", context.uri()), "run vgapt on that machine itself, without --connect")
            };
            return Err(Problem::new(message, remedy).into());
        }
        let root = context.own_root()?;
        // A libvirt that does not answer is a reason more to look at the logs.
        let is_asked = root.is_live() || !context.global.connect.is_empty();
        let state = if is_asked { self.state(context).map(Some) } else { Ok(None) };
        // A tree tells of an earlier time, and may be of another host than libvirt.
        let active = match &state {
            Ok(Some(Some(state))) if root.is_live() => Some(state.is_active()),
            _ => None,
        };
        let logs = Logs::read(context, &root, &self.name);
        let why = logs.why(context, &self.name, active, None);
        let mut findings = logs.unread(&why);
        findings.extend(life::last_end(&self.name, &root));
        let has_started = why.has_start();
        match state {
            // Without a log, what libvirt says of the name is the answer.
            Ok(Some(None)) if !has_started => return Err(self.none(context)),
            Err(error) if !has_started => {
                context.tell(&findings);
                return Err(error);
            }
            Ok(Some(None)) => findings.push(Finding::warning(
                "no-such-domain",
                format!("there is no domain '{}' in {}; this is what its logs say", self.name, context.uri()),
                "see the domains: vgapt status",
            )),
            Err(error) => findings.push(Finding::warning(
                "state-unknown",
                format!("whether '{}' runs is unknown: {error}", self.name),
                format!("{} list --all", context.virsh()),
            )),
            Ok(_) => {}
        }
        context.print(&output::why(&why))?;
        context.tell(&findings);
        let outcome = if !has_started && !findings.is_empty() { Outcome::Incomplete } else { Outcome::Done };
        Ok(Answer::new(outcome).with(Reason { why }).finding(findings))
    }

    /// The domain's state, as libvirt says it; `None` if there is no such domain.
    fn state(&self, context: &Context) -> Result<Option<State>> {
        let connection = context.connect()?;
        // One that cannot be read exists.
        if matches!(connection.domain_xml(&self.name, Secrets::LeftOut), Ok(None)) {
            return Ok(None);
        }
        connection.state(&self.name).map(Some)
    }

    fn none(&self, context: &Context) -> Error {
        context.connect().map_or_else(|error| error, |connection| existing::none(connection, &self.name).into())
    }
}

/// What `vgapt why` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reason {
    #[serde(flatten)]
    why: Why,
}
