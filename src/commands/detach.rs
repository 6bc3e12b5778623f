//! `vgapt detach`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::shared::definition::{DefineOptions, Definition, brought};
use super::shared::existing::Existing;
use super::shared::lock::Lock;
use crate::discovery::Scope;
use crate::domain::{self, Base, Purpose, Request, Without};
use crate::hypervisor::Secrets;
use crate::model::{Files, shell_word};
use crate::problem::Problem;

/// Remove the devices that attach added
///
/// Removes everything that `vgapt attach` added to a domain, and restores what it replaced: the domain is as
/// before, except for later changes by others and by `vgapt define`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    #[command(flatten)]
    how: DefineOptions,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let _lock = (!self.how.dry_run).then(|| Lock::of_domain(context, &self.name)).transpose()?;
        let mut existing = Existing::open_with(connection, &self.name, Secrets::Included)?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices)?;
        let without = Without { no_gpu: true, no_pci: true, no_usb: true, ..Without::default() };
        if let Ok(record) = existing.record(&self.name).cloned() {
            domain::recognise(&mut existing.document, &record);
        }
        let mut base = Base::new(existing.document, false, &self.name, &Request { without, ..Request::default() }, &Request::default());
        match &base.last {
            Some(last) if last.attached => {}
            Some(_) => {
                let remedy =
                    format!("vgapt define {0} --no-gpu removes the card, vgapt undefine {0} removes the domain", shell_word(&self.name));
                return Err(Problem::new(format!("'{}' was defined by vgapt: nothing was attached to it", self.name), remedy).into());
            }
            None => {
                return Err(Problem::new(
                    format!("vgapt has attached nothing to '{}'", self.name),
                    format!("vgapt attach {} --gpu …", shell_word(&self.name)),
                )
                .into());
            }
        }
        base.purpose = Purpose::Detach;
        let resolved = domain::resolve(&base, &host, &Files::default(), &connection.abilities()?);
        let definition = Definition {
            name: &self.name,
            how: &self.how,
            existing: Some(&existing.text),
            brought: Some(brought(context, &self.name)),
            done: "is as before",
            autostart: None,
        };
        definition.carry_out(context, connection, &base, &host, resolved)
    }
}
