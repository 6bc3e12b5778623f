//! `vgapt completions`.

use std::process::ExitCode;

use anyhow::Result;

use crate::output;

/// Print completions for a shell
///
/// Prints the completions to standard output: `vgapt completions bash > /etc/bash_completion.d/vgapt`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

impl Arguments {
    pub(crate) fn run(&self, mut command: clap::Command) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "vgapt", &mut script);
        output::print_document(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
