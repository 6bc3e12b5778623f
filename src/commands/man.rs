//! `vgapt man`.

use std::process::ExitCode;

use anyhow::Result;

use crate::output;

/// The manual page goes to standard output: `vgapt man define | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The subcommand whose page it is; vgapt itself if left out
    subcommand: Option<String>,
}

impl Arguments {
    pub(crate) fn run(&self, mut command: clap::Command) -> Result<ExitCode> {
        command.build();
        if let Some(name) = &self.subcommand {
            let known = command.find_subcommand(name).cloned();
            command = known.ok_or_else(|| anyhow::anyhow!("there is no subcommand '{name}'; see vgapt --help"))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        output::print_document(&String::from_utf8_lossy(&page))?;
        Ok(ExitCode::SUCCESS)
    }
}
