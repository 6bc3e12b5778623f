//! Parses the command line, and runs the subcommand.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use crate::commands::exit_code::{FAILED, INTERRUPTED, USAGE};
use crate::commands::{
    Color, Context, Global, attach, capture, check, completions, define, detach, disk, explain, export, hook, import, list, man, prepare,
    setup, show, start, status, stop, topology, undefine, undo,
};
use crate::interrupt::Interrupted;
use crate::problem::Problem;
use crate::{output, problem, run};

/// GPU passthrough in minutes: finds what can be passed through to a virtual machine, adds it to a
/// libvirt domain, defines the domain and starts it.
#[derive(Debug, Parser)]
#[command(
    name = "vgapt",
    version = env!("VGAPT_VERSION"),
    after_help = "Exit codes: 0 success, 1 blocked or not ready, 2 wrong usage, 3 failed, 4 guest not up in time, 130 interrupted."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[allow(missing_docs)] // The help of each stands with its arguments.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    List(list::Arguments),
    Check(check::Arguments),
    Setup(Box<setup::Arguments>),
    Prepare(Box<prepare::Arguments>),
    Undo(undo::Arguments),
    Define(Box<define::Arguments>),
    Attach(attach::Arguments),
    Detach(detach::Arguments),
    Show(show::Arguments),
    Explain(explain::Arguments),
    Start(start::Arguments),
    Stop(stop::Arguments),
    Status(status::Arguments),
    Undefine(undefine::Arguments),
    Hook(hook::Arguments),
    Import(import::Arguments),
    Export(export::Arguments),
    Disk(disk::Arguments),
    Topology(topology::Arguments),
    Capture(capture::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Command {
    fn run(&self, context: &Context) -> Result<ExitCode> {
        // The hook opens the root itself: a domain that vgapt does not manage must start, whatever is wrong here.
        if context.global.root.is_some() && !matches!(self, Self::Hook(_)) {
            // Also where the command does not need it: a mistyped path must not be ignored.
            context.own_root()?;
        }
        if matches!(self, Self::List(_) | Self::Define(_) | Self::Start(_)) {
            context.warn_of_session();
        }
        match self {
            Self::List(arguments) => arguments.run(context),
            Self::Check(arguments) => arguments.run(context),
            Self::Setup(arguments) => arguments.run(context),
            Self::Prepare(arguments) => arguments.run(context),
            Self::Undo(arguments) => arguments.run(context),
            Self::Define(arguments) => arguments.run(context),
            Self::Attach(arguments) => arguments.run(context),
            Self::Detach(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Explain(arguments) => arguments.run(context),
            Self::Start(arguments) => arguments.run(context),
            Self::Stop(arguments) => arguments.run(context),
            Self::Status(arguments) => arguments.run(context),
            Self::Undefine(arguments) => arguments.run(context),
            Self::Hook(arguments) => Ok(arguments.run(context)),
            Self::Import(arguments) => arguments.run(context),
            Self::Export(arguments) => arguments.run(context),
            Self::Disk(arguments) => arguments.run(context),
            Self::Topology(arguments) => arguments.run(context),
            Self::Capture(arguments) => arguments.run(context),
            Self::Completions(arguments) => arguments.run(Cli::command()),
            Self::Man(arguments) => arguments.run(Cli::command()),
        }
    }
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
