//! `vgapt detach`.

use anyhow::Result;

use super::Context;
use super::shared::decision::decide;
use super::shared::definition::{DefineOptions, Definition};
use super::shared::existing::Existing;
use super::shared::facts::Facts;
use super::shared::lock::Lock;
use super::shared::refused::Refused;
use crate::domain::{self, Base, Origin, Record};
use crate::hypervisor::Secrets;
use crate::model::{Finding, shell_word};
use crate::output::Answer;

/// Remove the devices that attach added
///
/// Removes everything that `vgapt attach` added to a domain, and restores what it replaced: the domain is as
/// before, except for later changes by others and by `vgapt define`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt detach win11")]
pub struct Arguments {
    /// The domain's name
    name: String,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        // Read.
        let connection = context.connect()?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let Existing { text, document: mut domain, record } = Existing::open_with(connection, &self.name, Secrets::Included)?;
        domain::recognise(&mut domain, &self.attached(record)?);
        let base = Base::detach(Origin { domain, name: &self.name, uri: context.uri().as_str(), new: None });
        let facts = Facts::of_devices(context, connection)?;

        // Decide.
        let decision = decide(&base, &facts, Some(&text), Vec::new());

        // Write.
        let definition =
            Definition { context, connection, how: &self.how, base: &base, facts: &facts, before: Some(&text), has_own_template: false };
        definition.carry_out(&decision).map(|(_, answer)| answer)
    }

    /// The record, if it is of attached devices.
    fn attached(&self, record: Option<Record>) -> Result<Record> {
        let word = shell_word(&self.name);
        let (message, remedy) = match record {
            Some(record) if record.attached => return Ok(record),
            Some(record) => {
                let (what, option) = if record.request.gpu.is_empty() { ("functions", "--no-pci") } else { ("card", "--no-gpu") };
                (
                    format!("'{}' was defined by vgapt: nothing was attached to it", self.name),
                    format!("remove the {what}: vgapt define {word} {option}; or the domain: vgapt undefine {word}"),
                )
            }
            None => {
                (format!("vgapt has attached nothing to '{}'", self.name), format!("add a device first: vgapt attach {word} --gpu auto"))
            }
        };
        Err(Refused::from(Finding::error("nothing-attached", message, remedy)).into())
    }
}
