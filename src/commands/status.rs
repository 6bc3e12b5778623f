//! `vgapt status`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Context;
use super::exit_code::INTERRUPTED;
use super::shared::existing::Existing;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::hypervisor::{Hypervisor, State};
use crate::interrupt::Interrupt;
use crate::model::{Finding, Host, PciAddress};
use crate::output;
use crate::root::Root;

/// Show a domain's state, and the drivers of its devices
///
/// Works also for domains that vgapt did not define.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt status win11
  vgapt status win11 --watch")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Check again each second until Ctrl-C; if the output is not a terminal, print one line for each change
    #[arg(long)]
    watch: bool,
}

const INTERVAL: Duration = Duration::from_secs(1);

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let root = context.root()?;
        if self.watch {
            return self.watch(context, connection, root.as_ref());
        }
        let seen = self.look(context, connection, root.as_ref())?;
        if context.global.json {
            output::print(&output::json(&seen.json(&self.name)))?;
        } else {
            output::print(&seen.text(&self.name))?;
            context.tell(&seen.findings);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn watch(&self, context: &Context, connection: &dyn Hypervisor, root: Option<&Root>) -> Result<ExitCode> {
        let interrupt = Interrupt::watch()?;
        let redraws = std::io::stdout().is_terminal() && output::redraws() && !context.global.json;
        let mut last = String::new();
        while !interrupt.came() {
            let seen = self.look(context, connection, root)?;
            let text = match () {
                () if redraws => output::redrawn(&seen.text_with_findings(&self.name)),
                () if context.global.json => format!("{}\n", seen.json(&self.name)),
                () => format!("{}\n", seen.line(&self.name)),
            };
            if redraws || text != last {
                output::print(&text)?;
            }
            last = text;
            interrupt.pause(INTERVAL);
        }
        Ok(ExitCode::from(INTERRUPTED))
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

/// The status of a domain.
struct Seen {
    state: State,
    autostart: bool,
    /// The host, reduced to the domain's functions.
    devices: Host,
    findings: Vec<Finding>,
}

impl Seen {
    fn json(&self, name: &str) -> Value {
        let Self { state, autostart, devices, findings } = self;
        json!({"name": name, "state": state, "autostart": autostart, "devices": devices.pci, "findings": output::findings_json(findings)})
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
