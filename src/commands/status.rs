//! `vgapt status`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Context;
use super::domain::Existing;
use crate::discovery::Scope;
use crate::domain;
use crate::model::{Finding, Host};
use crate::output;

/// Also of domains that vgapt did not define.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let existing = Existing::open(connection.as_ref(), &self.name)?;
        let state = connection.state(&self.name)?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices, Some(connection.as_ref()))?;
        let passed = existing.passed();
        // While it runs the devices are where they should be.
        let findings: Vec<Finding> = if state.is_active() { Vec::new() } else { domain::of_functions(&passed, &host) };
        let functions: Vec<_> = passed.iter().map(|passed| passed.address).collect();
        if context.global.json {
            let devices: Vec<_> = host.devices(&functions).collect();
            let value = json!({"name": self.name, "state": state, "devices": devices, "findings": output::findings_json(&findings)});
            output::print(&output::json(&value))?;
        } else {
            output::print(&format!("{}: {state}\n{}", self.name, output::functions(&only(&host, &functions))))?;
            context.tell(&findings);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The same host with only these functions.
fn only(host: &Host, functions: &[crate::model::PciAddress]) -> Host {
    Host { pci: host.devices(functions).cloned().collect(), ..Host::default() }
}
