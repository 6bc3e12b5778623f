//! Parses the command line, and runs the subcommand.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use crate::commands::exit_code::{self, FAILED, INTERRUPTED, USAGE};
use crate::commands::{
    Color, Context, Global, attach, capture, check, completions, define, detach, disk, explain, export, help, hook, import, list, man,
    prepare, setup, show, start, status, stop, topology, undefine, undo,
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
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = exit_code::in_a_line()
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version, help_heading = "Global options")]
    version: Option<bool>,
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
    #[command(hide = true)]
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
            Self::Completions(arguments) => arguments.run(),
            Self::Man(arguments) => arguments.run(context, Cli::command()),
        }
    }
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    if let Some(error) = run::execute(std::env::args_os().skip(1)) {
        output::tell(&format!("{}\n", problem::describe(&error)));
        return ExitCode::from(run::NOT_EXECUTABLE);
    }
    if let Some(code) = completions::answer(Cli::command) {
        return code;
    }
    let cli = Cli::try_parse().unwrap_or_else(|error| help::improved(error, Cli::command).exit());
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use help::groups::GROUPS;
    use help::meaning::{OPTIONS, SUBCOMMANDS};

    use super::*;

    fn built() -> clap::Command {
        let mut command = Cli::command();
        command.build();
        command
    }

    #[test]
    fn each_subcommand_is_in_one_group() {
        let command = built();
        let mut shown: Vec<&str> = command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        shown.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, shown);
    }

    #[test]
    fn each_value_can_be_completed_or_is_anything() {
        fn undecided(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            for argument in command.get_arguments().filter(|one| one.get_num_args().is_some_and(|number| number.takes_values())) {
                let is_named = !argument.get_possible_values().is_empty() || argument.get_value_hint() != clap::ValueHint::Unknown;
                if !is_named && completions::source(path, argument.get_id().as_str()).is_none() {
                    found.push(format!("{path} {}", argument.get_id()));
                }
            }
            for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
                undecided(one, format!("{path} {}", one.get_name()).trim_start(), found);
            }
        }
        let mut found = Vec::new();
        undecided(&built(), "", &mut found);
        assert!(found.is_empty(), "name their values in completions/table.rs: {found:?}");
    }

    #[test]
    fn words_from_elsewhere_are_none_of_here_and_lead_to_options_of_here() {
        fn options(command: &clap::Command, found: &mut BTreeSet<String>) {
            found.extend(command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned));
            command.get_subcommands().for_each(|one| options(one, found));
        }
        let command = built();
        let words: Vec<&str> = SUBCOMMANDS.iter().flat_map(|(words, _)| words.iter().copied()).collect();
        assert_eq!(words.iter().find(|word| command.find_subcommand(word).is_some()), None, "it is a subcommand");
        assert_eq!(words.len(), words.iter().collect::<BTreeSet<_>>().len(), "a word stands twice");
        let mut known = BTreeSet::new();
        options(&command, &mut known);
        assert_eq!(OPTIONS.iter().find(|(_, option, _)| !known.contains(*option)), None, "no command has this option");
    }
}
