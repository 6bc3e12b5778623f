//! `vgapt completions`.

use anyhow::Result;

use crate::output::{self, Answer, Outcome};

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
    pub(crate) fn run(&self, mut command: clap::Command) -> Result<Answer> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "vgapt", &mut script);
        output::print_document(&String::from_utf8_lossy(&script))?;
        Ok(Answer::printed(Outcome::Done))
    }
}
