//! `vgapt man`.

use anyhow::Result;

use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;

/// Print the manual page
///
/// Prints the manual page to standard output: `vgapt man define | man -l -`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt man define | man -l -")]
pub struct Arguments {
    /// Print the page of this subcommand [default: of vgapt itself]
    subcommand: Option<String>,
}

impl Arguments {
    pub(crate) fn run(&self, mut command: clap::Command) -> Result<Answer> {
        command.build();
        if let Some(name) = &self.subcommand {
            let known = command.find_subcommand(name).cloned();
            command = known.ok_or_else(|| Problem::usage(format!("unknown subcommand '{name}'"), "see vgapt --help"))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        output::print_document(&String::from_utf8_lossy(&page))?;
        Ok(Answer::printed(Outcome::Done))
    }
}
