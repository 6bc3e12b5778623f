//! `vgapt start`.

mod checks;
mod free;
mod wait;

use std::time::Duration;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::Existing;
use super::shared::lock::Lock;
use super::shared::logs;
use super::shared::next;
use super::shared::refused::Refused;
use crate::hypervisor::State;
use crate::interrupt::{Interrupt, Interrupted};
use crate::life;
use crate::model::Finding;
use crate::output::{Answer, Outcome};
use crate::readiness::Stage;
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
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        let connection = context.connect()?;
        // Another run of vgapt may be starting it, or defining it anew.
        let lock = Lock::of_domain(context, &self.name)?;
        let existing = Existing::open(connection, &self.name)?;
        let root = context.root()?;
        let state = connection.state(&self.name)?;
        let facts = Facts::read(context, connection, &self.name, &existing, root.as_ref())?;

        // Decide.
        if state.is_active() {
            let picture = facts.picture();
            drop(lock);
            return self.is_on(context, &Guest::of_running(connection, &self.name, &existing.document), state, picture.as_deref());
        }
        let mut findings = facts.findings();
        if findings.iter().any(|finding| finding.refuses(self.force)) {
            let next = next::out_of(&mut findings, self.force, facts.next_on_host(context)?.as_ref());
            return Err(Refused { findings, end: format!("'{}' was not started: see above. Nothing was changed.", self.name), next }.into());
        }
        context.tell(&findings);
        let steps = facts.steps(&findings);
        for step in &steps {
            context.note(step);
        }

        // Write.
        let asked = logs::now();
        let say_why = |answer: Option<&anyhow::Error>| logs::tell(context, root.as_ref(), &self.name, answer.map(|error| (asked, error)));
        let freed = facts.freed(context)?;
        let started = connection.start(&self.name, self.paused);
        let unreturned = freed.filter(|_| started.is_err()).and_then(|freed| freed.after_refusal(connection).err());
        drop(lock);
        started.inspect_err(|error| say_why(Some(error))).map_err(|error| unreturned.iter().fold(error, life::unreturned))?;
        let guest = self.wait.then(|| Guest::new(connection, &self.name, &existing.document)).transpose()?;
        context.note(&format!("'{}' is started{}", self.name, if self.paused { " and paused" } else { "" }));
        let (outcome, guest) = guest.map_or(Ok((Outcome::Done, None)), |guest| self.wait_for(context, &guest)).inspect_err(|error| {
            if !error.is::<Interrupted>() {
                say_why(None);
            }
        })?;
        let stage = if self.paused { Stage::Paused } else { Stage::Started };
        let next = next::of_domain(context, &self.name, stage, facts.picture().as_deref(), None);
        context.next(&next);
        let started = Started { name: self.name.clone(), paused: self.paused, steps, guest };
        Ok(Answer::new(outcome).with(started).finding(findings).next(next))
    }

    /// The domain was started before: that is what was asked, or it is in the way.
    fn is_on(&self, context: &Context, guest: &Guest<'_>, state: State, picture: Option<&str>) -> Result<Answer> {
        let name = &self.name;
        let mut next = next::of_domain(context, name, next::stage(state), picture, None);
        let is_as_asked = state == if self.paused { State::Paused } else { State::Running };
        if !is_as_asked {
            if state == State::Running {
                "it can be started anew, and paused, once it is off".clone_into(&mut next.reason);
            }
            let remedy = next.step().to_owned();
            let findings = vec![Finding::error("is-on", format!("'{name}' is {state}, so it cannot be started"), remedy)];
            return Err(Refused { findings, end: String::new(), next: Some(next) }.into());
        }
        context.note(&format!("'{name}' is {state} already"));
        let (outcome, up) = if self.wait { self.wait_for(context, guest)? } else { (Outcome::Done, None) };
        context.next(&next);
        let outcome = if outcome == Outcome::Done { Outcome::Unchanged } else { outcome };
        let started = Started { name: name.clone(), paused: self.paused, steps: Vec::new(), guest: up };
        Ok(Answer::new(outcome).with(started).next(next))
    }

    /// Waits for the guest; also how it is known to be up.
    fn wait_for(&self, context: &Context, guest: &Guest<'_>) -> Result<(Outcome, Option<String>)> {
        let interrupt = Interrupt::watch()?;
        context.note("waiting for the guest");
        let name = &self.name;
        match guest.wait(self.timeout.map(Duration::from_secs), &interrupt)? {
            WaitResult::Seen(how) => {
                context.note(&format!("'{name}' is up: {how}"));
                return Ok((Outcome::Done, Some(how)));
            }
            WaitResult::Undetectable => context.note(&format!(
                "'{name}' is running; whether its guest is up is unknown: the domain has no channel for the guest agent, and no new address from a libvirt network"
            )),
            WaitResult::TimedOut => {
                context.say(&format!("'{name}' is running, but its guest is not up after {} s\n", self.timeout.unwrap_or_default()));
                return Ok((Outcome::TimedOut, None));
            }
        }
        Ok((Outcome::Done, None))
    }
}

/// What `vgapt start` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Started {
    name: String,
    /// Whether the guest is paused before its first instruction.
    paused: bool,
    /// What was checked, and what libvirt and its hook do.
    steps: Vec<String>,
    /// With --wait: how the guest is known to be up; null where that is unknown.
    guest: Option<String>,
}
