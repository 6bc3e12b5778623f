//! `vgapt man`.

mod page;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Command;

use super::Context;
use super::shared::user_file;
use crate::output::{self, Answer, Outcome};
use crate::problem::Problem;

/// Print the manual page
///
/// Prints a manual page to standard output, or writes all of them to a folder, from where 'man vgapt-define' finds
/// them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt man define | man -l -
  vgapt man disk create | man -l -
  vgapt man --dir ~/.local/share/man/man1")]
pub struct Arguments {
    /// Print the page of this subcommand [default: of vgapt itself]
    subcommand: Vec<String>,
    /// Write the pages of all commands to this folder, which is made if it does not exist
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    dir: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context, command: Command) -> Result<Answer> {
        // The page of a command that only prints help would say nothing.
        let mut command = command.disable_help_subcommand(true);
        command.build();
        if let Some(folder) = &self.dir {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            let pages = write(folder, &command, &command)?;
            context.note(&format!("{pages} manual pages are in {}", folder.display()));
            return Ok(Answer::printed(Outcome::Done));
        }
        let found = self.subcommand.iter().try_fold(&command, |found, name| found.find_subcommand(name));
        let found = found.ok_or_else(|| {
            let name = self.subcommand.join(" ");
            Problem::usage(format!("there is no command 'vgapt {name}', so it has no page"), "see vgapt --help")
        })?;
        output::print_document(&page::page(found, &command)?)?;
        Ok(Answer::printed(Outcome::Done))
    }
}

/// Writes the pages of a command and of all below it that are listed; returns how many.
fn write(folder: &Path, command: &Command, root: &Command) -> Result<usize> {
    user_file::write(&folder.join(format!("{}.1", page::title(command))), page::page(command, root)?.as_bytes())?;
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    below.map(|one| write(folder, one, root)).try_fold(1, |pages, more| Ok(pages + more?))
}
