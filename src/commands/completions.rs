//! `vgapt completions`.

use std::process::ExitCode;

use anyhow::Result;

use crate::output;

/// Print completions for a shell
///
/// Prints the completions to standard output: `vgapt completions bash > /etc/bash_completion.d/vgapt`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt completions bash > ~/.local/share/bash-completion/completions/vgapt
  vgapt completions zsh > \"${fpath[1]}/_vgapt\"
  vgapt completions fish > ~/.config/fish/completions/vgapt.fish")]
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
