//! `vgapt explain`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::Existing;
use crate::domain;
use crate::output::{self, Answer};

/// Explain each element that vgapt added to a domain
///
/// Prints each element that vgapt added to a domain, with its reason and source; elements with the same reason together.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt explain win11")]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let record = existing.managed(&self.name)?;
        let reasons = domain::explain(&existing.document, record);
        context.print(&output::reasons(&reasons))?;
        Ok(Answer::done(Explained { reasons }))
    }
}

/// What `vgapt explain` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Explained {
    /// Each element that vgapt added to the domain.
    reasons: Vec<domain::Reason>,
}
