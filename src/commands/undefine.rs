//! `vgapt undefine`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::domain::Existing;
use crate::hypervisor::Secrets;
use crate::problem::Problem;

/// Its firmware variables, managed save and snapshot metadata go; its disks stay.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let name = &self.name;
        if connection.state(name)?.is_active() {
            return Err(Problem::new(format!("'{name}' runs"), format!("stop it first: vgapt stop {name}")).into());
        }
        // A record that cannot be read may name what is to be taken back first.
        Existing::find(connection.as_ref(), name, Secrets::LeftOut)?;
        connection.undefine(name)?;
        context.note(&format!("'{name}' is undefined; its disks are still there"));
        Ok(ExitCode::SUCCESS)
    }
}
