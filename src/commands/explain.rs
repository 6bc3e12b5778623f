//! `vgapt explain`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::shared::existing::Existing;
use crate::domain;
use crate::output;

/// Explain each element that vgapt added to a domain
///
/// Prints each element that vgapt added to a domain, with its reason and source; elements with the same reason together.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let record = existing.managed(&self.name)?;
        let reasons = domain::explain(&existing.document, record);
        if context.global.json {
            output::print(&output::json(&reasons))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::print(&output::reasons(&reasons))?;
        Ok(ExitCode::SUCCESS)
    }
}
