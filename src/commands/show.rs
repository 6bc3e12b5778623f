//! `vgapt show`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::shared::existing::Existing;
use crate::domain;
use crate::output;

/// Show the request that a domain was defined from
///
/// Prints the request that a domain was defined from, read from its metadata, as a file for `vgapt define -f`. The
/// disks and CDs are those that the domain has now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt show win11 > win11.toml    # for the option -f of define")]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let record = existing.managed(&self.name)?;
        let (request, changed) = domain::present(&existing.document, &record.request);
        let autostart = connection.autostart(&self.name)?;
        if context.global.json {
            let mut value = serde_json::to_value(record)?;
            value["request"] = serde_json::to_value(&request)?;
            value["changed"] = changed.into();
            value["autostart"] = autostart.into();
            output::print(&output::json(&value))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = if record.attached {
            format!("# what vgapt attached to '{}', which it did not define\n", self.name)
        } else {
            format!("# the request from which vgapt defined '{}'\n", self.name)
        };
        text.push_str(if autostart { "# starts with the host\n" } else { "# is started manually\n" });
        for passed in &record.passed {
            let id = passed.id.map(|id| format!(" is {id}")).unwrap_or_default();
            text.push_str(&format!("# passed through: {}{id}\n", passed.address));
        }
        for line in &changed {
            text.push_str(&format!("# {line}\n"));
        }
        output::print(&(text + &request.to_toml()))?;
        Ok(ExitCode::SUCCESS)
    }
}
