//! The command line: it is parsed, and the subcommand is run.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

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

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the graphics cards, and what can be passed through
    List(list::Arguments),
    /// Say whether the host is ready for a guest with its card, and what is missing
    Check(check::Arguments),
    /// Make the host ready: IOMMU, early binding, huge pages; shown first, proved, taken back by undo
    Prepare(Box<prepare::Arguments>),
    /// Take back all that prepare did
    Undo(undo::Arguments),
    /// Define a domain with the graphics card in it, or change one
    Define(Box<define::Arguments>),
    /// Give a domain of your own a card
    Attach(attach::Arguments),
    /// Take out again what attach gave
    Detach(detach::Arguments),
    /// Show what a domain was made from
    Show(show::Arguments),
    /// Say why each element is there that vgapt put in
    Explain(explain::Arguments),
    /// Check the host once more and start a domain
    Start(start::Arguments),
    /// Ask a domain's guest to shut down
    Stop(stop::Arguments),
    /// Say what a domain is doing, and who has its devices
    Status(status::Arguments),
    /// Forget a domain, its firmware variables included; disks stay
    Undefine(undefine::Arguments),
    /// What libvirt calls around a domain's start and stop
    Hook(hook::Arguments),
    /// Make a domain of a shell script that starts QEMU
    Import(import::Arguments),
    /// Print a domain for another world: QEMU's options, or a manifest for KubeVirt
    Export(export::Arguments),
    /// Make, merge, compact and change disk images
    Disk(disk::Arguments),
    /// Show who has which core of the host
    Topology(topology::Arguments),
    /// Write this machine down in one file, for a bug report or a test
    Capture(capture::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
}

impl Command {
    fn run(&self, context: &Context) -> Result<ExitCode> {
        // The hook opens it by itself: a domain of others starts whatever is wrong here.
        if context.global.root.is_some() && !matches!(self, Self::Hook(_)) {
            // Also where a command has no need of it: a name that was mistyped is never taken for none.
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
