//! `vgapt explain`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::Existing;
use crate::discovery::Scope;
use crate::domain::{self, IommufdDecision, Record};
use crate::output::{self, Answer};
use crate::xml::Document;

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
        let iommufd = iommufd(context, &existing.document, record)?;
        context.print(&(output::reasons(&reasons) + &iommufd.iter().map(output::iommufd).collect::<String>()))?;
        Ok(Answer::done(Explained { reasons, iommufd }))
    }
}

/// What became of `--iommufd`: only then the host is read, and libvirt is asked for what it can do.
fn iommufd(context: &Context, domain: &Document, record: &Record) -> Result<Option<IommufdDecision>> {
    if record.request.extras.iommufd.is_none() {
        return Ok(None);
    }
    let host = context.host(context.root()?.as_ref(), Scope::All)?;
    Ok(domain::explain_iommufd(domain, record, &host, &context.connect()?.abilities()?))
}

/// What `vgapt explain` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Explained {
    /// Each element that vgapt added to the domain.
    reasons: Vec<domain::Reason>,
    /// What became of `--iommufd`, and why; `null` if the option is not given.
    iommufd: Option<IommufdDecision>,
}
