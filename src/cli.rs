//! Parses the command line, and runs the subcommand.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use crate::commands::exit_code::{FAILED, INTERRUPTED, USAGE};
use crate::commands::{
    Color, Context, Global, attach, capture, check, completions, define, detach, disk, explain, export, hook, import, list, man, prepare,
    show, start, status, stop, topology, undefine, undo,
};
use crate::interrupt::Interrupted;
use crate::problem::Problem;
use crate::{output, problem, run};

/// GPU passthrough in minutes: finds what can be passed through to a virtual machine, adds it to a
/// libvirt domain, defines the domain and starts it.
#[derive(Debug, Parser)]
#[command(
    name = "vgapt",
    version,
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
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the graphics cards and whether they can be passed through
    List(list::Arguments),
    /// Check whether the host is ready for a guest with a graphics card, and show what is missing
    Check(check::Arguments),
    /// Prepare the host: IOMMU, early binding, huge pages; shows the plan first, verifies the result, undo reverts it
    Prepare(Box<prepare::Arguments>),
    /// Revert everything that prepare changed
    Undo(undo::Arguments),
    /// Define a domain with a graphics card, or change one
    Define(Box<define::Arguments>),
    /// Add a graphics card or other host devices to an existing domain
    Attach(attach::Arguments),
    /// Remove the devices that attach added
    Detach(detach::Arguments),
    /// Show the request that a domain was defined from
    Show(show::Arguments),
    /// Explain each element that vgapt added to a domain
    Explain(explain::Arguments),
    /// Check the host again and start a domain
    Start(start::Arguments),
    /// Ask a domain's guest to shut down
    Stop(stop::Arguments),
    /// Show a domain's state, and the drivers of its devices
    Status(status::Arguments),
    /// Remove a domain, including its firmware variables; its disks are not deleted
    Undefine(undefine::Arguments),
    /// Run by libvirt at a domain's start and stop
    Hook(hook::Arguments),
    /// Convert a shell script that starts QEMU to a domain
    Import(import::Arguments),
    /// Print a domain as QEMU's options, or as a manifest for KubeVirt
    Export(export::Arguments),
    /// Create, merge, compact and change disk images
    Disk(disk::Arguments),
    /// Show which cores of the host are used by a guest
    Topology(topology::Arguments),
    /// Record this host in one file, for a bug report or a test
    Capture(capture::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the manual page
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
