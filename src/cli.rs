//! The command line: global options, subcommands, exit codes.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};

use crate::commands::{Command, Context};
use crate::interrupt::Interrupted;
use crate::problem::Problem;
use crate::{output, problem, run};

/// Exit codes: 0 fine, 1 something speaks against it (blocked, not ready), 2 wrong usage, 3 it
/// failed, 4 it is not up in time, 130 it was interrupted.
pub const FOUND_AGAINST: u8 = 1;
/// It failed.
pub const FAILED: u8 = 3;
/// Exit code: wrong usage, as clap has it.
pub const USAGE: u8 = 2;
/// It was started, and was not up when the time was over.
pub const NOT_IN_TIME: u8 = 4;

/// It was interrupted, as shells count Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// GPU passthrough in minutes: finds out what can be given to a virtual machine, merges it into a
/// libvirt domain, defines and starts it.
#[derive(Debug, Parser)]
#[command(
    name = "vgapt",
    version,
    after_help = "Exit codes: 0 fine, 1 found what speaks against it, 2 wrong usage, 3 failed, 4 not up in time, 130 interrupted."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The libvirt to speak to [default: $LIBVIRT_DEFAULT_URI, libvirt.conf's uri_default, else qemu:///system]
    #[arg(short, long, global = true, value_name = "URI")]
    pub connect: Vec<String>,
    /// Read the host from this directory, or from a file that 'vgapt capture' wrote, instead of from /
    #[arg(long, global = true, value_name = "PATH")]
    pub root: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Say more: what was read from where, and what else is known of a passed card
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say less: no notes, no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    if let Some(error) = run::execute(std::env::args_os().skip(1)) {
        output::tell(&format!("{}\n", problem::describe(&error)));
        return ExitCode::from(run::NOT_EXECUTABLE);
    }
    let cli = Cli::parse();
    if cli.global.connect.len() > 1 && !matches!(cli.command, Command::List(_)) {
        Cli::command().error(ErrorKind::TooManyValues, "only 'list' takes more than one --connect").exit();
    }
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let context = Context::new(cli.global);
    cli.command.run(&context).unwrap_or_else(|error| {
        output::tell(&format!("{}\n", problem::describe(&error)));
        let is_usage = error.chain().filter_map(|cause| cause.downcast_ref::<Problem>()).any(|problem| problem.is_usage);
        ExitCode::from(if error.is::<Interrupted>() {
            INTERRUPTED
        } else if is_usage {
            USAGE
        } else {
            FAILED
        })
    })
}
