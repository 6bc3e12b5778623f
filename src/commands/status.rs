//! `vgapt status`.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::Existing;
use super::shared::refused;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::hypervisor::{Hypervisor, State};
use crate::interrupt::Interrupt;
use crate::model::{Finding, Host, PciAddress, PciDevice};
use crate::output::{self, Answer, Form, Outcome};
use crate::root::Root;

/// Show a domain's state, and the drivers of its devices
///
/// Works also for domains that vgapt did not define.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Check again each second until Ctrl-C; if the output is not a terminal, print one line for each change
    #[arg(long)]
    watch: bool,
}

const INTERVAL: Duration = Duration::from_secs(1);

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let root = context.root()?;
        if self.watch {
            let answer = self.watch(context, connection, root.as_ref()).unwrap_or_else(|error| refused::answer(context, error));
            if context.global.json && answer.outcome != Outcome::Interrupted {
                output::print(&line(&answer))?;
            }
            return Ok(Answer { is_printed: true, ..answer });
        }
        let seen = self.look(context, connection, root.as_ref())?;
        context.print(&seen.text(&self.name))?;
        context.tell(&seen.findings);
        Ok(seen.answer(&self.name))
    }

    fn watch(&self, context: &Context, connection: &dyn Hypervisor, root: Option<&Root>) -> Result<Answer> {
        let interrupt = Interrupt::watch()?;
        let redraws = std::io::stdout().is_terminal() && output::redraws() && !context.global.json;
        let mut last = String::new();
        while !interrupt.came() {
            let seen = self.look(context, connection, root)?;
            let text = match () {
                () if redraws => output::redrawn(&seen.text_with_findings(&self.name)),
                () if context.global.json => line(&seen.answer(&self.name)),
                () => format!("{}\n", seen.line(&self.name)),
            };
            if redraws || text != last {
                output::print(&text)?;
            }
            last = text;
            interrupt.pause(INTERVAL);
        }
        Ok(Answer::printed(Outcome::Interrupted))
    }

    fn look(&self, context: &Context, connection: &dyn Hypervisor, root: Option<&Root>) -> Result<Seen> {
        let existing = Existing::open(connection, &self.name)?;
        let state = connection.state(&self.name)?;
        let host = context.host(root, Scope::Devices)?;
        let passed = existing.passed();
        // While the domain is running, its devices are in use by it: nothing to check.
        let findings = if state.is_active() { Vec::new() } else { domain::of_functions(&passed, &host, &discovery::uses(root)) };
        let functions: Vec<_> = passed.iter().map(|passed| passed.address).collect();
        Ok(Seen { state, autostart: connection.autostart(&self.name)?, devices: only(&host, &functions), findings })
    }
}

/// A document of --watch.
fn line(answer: &Answer) -> String {
    answer.document(Some("status"), Form::OneLine)
}

/// What `vgapt status` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    name: String,
    state: State,
    autostart: bool,
    /// The PCI functions that are passed through to it.
    devices: Vec<PciDevice>,
}

/// The status of a domain.
struct Seen {
    state: State,
    autostart: bool,
    /// The host, reduced to the domain's functions.
    devices: Host,
    findings: Vec<Finding>,
}

impl Seen {
    fn answer(&self, name: &str) -> Answer {
        let Self { state, autostart, devices, findings } = self;
        let status = Status { name: name.to_owned(), state: *state, autostart: *autostart, devices: devices.pci.clone() };
        Answer::done(status).finding(findings.clone())
    }

    fn text(&self, name: &str) -> String {
        format!("{}\n{}", self.head(name), output::functions(&self.devices))
    }

    fn text_with_findings(&self, name: &str) -> String {
        let findings: String = self.findings.iter().map(output::finding).collect();
        self.text(name) + &findings
    }

    /// All of it on one line.
    fn line(&self, name: &str) -> String {
        let driver = |device: &crate::model::PciDevice| {
            let none = if self.devices.unknown.iter().any(|what| what.starts_with("drivers")) { "an unknown driver" } else { "no driver" };
            format!(", {} on {}", device.address.short(), device.driver.as_deref().unwrap_or(none))
        };
        let devices: String = self.devices.pci.iter().map(driver).collect();
        let findings: String = self.findings.iter().map(|finding| format!(", {}", finding.message)).collect();
        self.head(name) + &devices + &findings
    }

    fn head(&self, name: &str) -> String {
        format!("{name}: {}{}", self.state, if self.autostart { ", starts with the host" } else { "" })
    }
}

/// The same host with only these functions.
fn only(host: &Host, functions: &[PciAddress]) -> Host {
    Host { pci: host.devices(functions).cloned().collect(), unknown: host.unknown.clone(), ..Host::default() }
}
