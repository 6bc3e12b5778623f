//! Parses the command line, and runs the subcommand.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::{
    Color, Context, Global, attach, capture, check, completions, define, detach, disk, exit_code, explain, export, hangs, help, hook,
    import, list, man, measure, overview, prepare, refused, reset, setup, show, start, status, stop, topology, undefine, undo, why,
};
use crate::output::{Answer, Failure, Form, Outcome};
use crate::{output, problem, run, target};

/// GPU passthrough in minutes: finds what can be passed through to a virtual machine, adds it to a
/// libvirt domain, defines the domain and starts it.
#[derive(Debug, Parser)]
#[command(
    name = "vgapt",
    version = env!("VGAPT_VERSION"),
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
    /// What to do; without it, the state of this host and its domains is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Defines the subcommands.
macro_rules! commands {
    ($($(#[$attribute:meta])* $name:literal $variant:ident($arguments:ty),)*) => {
        /// The subcommands.
        #[allow(missing_docs)] // The help of each stands with its arguments.
        #[derive(Debug, clap::Subcommand)]
        pub enum Command {
            $($(#[$attribute])* $variant($arguments),)*
        }

        /// The command line without its texts, of which only the subcommand that is named is built: to build all takes as long
        /// as many of them run.
        fn quick() -> clap::Command {
            let command = clap::Command::default().name("vgapt").version("").disable_help_flag(true).disable_version_flag(true);
            Global::augment_args(command)
                .arg(clap::Arg::new("version").short('V').long("version").action(clap::ArgAction::Version))
                $(.subcommand(clap::Command::default().name($name).defer(<$arguments>::augment_args)))*
        }
    };
}

commands! {
    "list" List(list::Arguments),
    "check" Check(check::Arguments),
    "setup" Setup(Box<setup::Arguments>),
    "prepare" Prepare(Box<prepare::Arguments>),
    "undo" Undo(undo::Arguments),
    "reset" Reset(reset::Arguments),
    "define" Define(Box<define::Arguments>),
    "attach" Attach(attach::Arguments),
    "detach" Detach(detach::Arguments),
    "show" Show(show::Arguments),
    "explain" Explain(explain::Arguments),
    "start" Start(start::Arguments),
    "stop" Stop(stop::Arguments),
    "status" Status(status::Arguments),
    "measure" Measure(measure::Arguments),
    "why" Why(why::Arguments),
    "undefine" Undefine(undefine::Arguments),
    #[command(hide = true)]
    "hook" Hook(hook::Arguments),
    "import" Import(import::Arguments),
    "export" Export(export::Arguments),
    "disk" Disk(disk::Arguments),
    "topology" Topology(topology::Arguments),
    "capture" Capture(capture::Arguments),
    "completions" Completions(completions::Arguments),
    "man" Man(man::Arguments),
}

impl Command {
    fn run(&self, context: &Context) -> Result<Answer> {
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
            Self::Reset(arguments) => arguments.run(context),
            Self::Define(arguments) => arguments.run(context),
            Self::Attach(arguments) => arguments.run(context),
            Self::Detach(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Explain(arguments) => arguments.run(context),
            Self::Start(arguments) => arguments.run(context),
            Self::Stop(arguments) => arguments.run(context),
            Self::Status(arguments) => arguments.run(context),
            Self::Measure(arguments) => arguments.run(context),
            Self::Why(arguments) => arguments.run(context),
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
    run::stop_ignoring_sigchld();
    let apart = target::apart(std::env::args_os().skip(1)).or_else(|| hangs::show(std::env::args_os().skip(1)));
    if let Some(done) = apart {
        return done.map_or_else(
            |error| {
                output::tell(&format!("{error:#}\n"));
                ExitCode::from(exit_code::of(Outcome::Failed))
            },
            |()| ExitCode::SUCCESS,
        );
    }
    if let Some(code) = completions::answer(Cli::command) {
        return code;
    }
    let (cli, name) = match parsed() {
        Ok(parsed) => parsed,
        Err(error) => return misused(&help::improved(error, Cli::command)),
    };
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => {
            anstream::ColorChoice::Never.write_global();
            // The questions of setup.
            dialoguer::console::set_colors_enabled_stderr(false);
        }
    }
    let context = Context::new(cli.global);
    let ran = cli.command.map_or_else(|| overview::run(&context), |command| command.run(&context));
    let answer = context.completed(ran.unwrap_or_else(|error| refused::answer(&context, error)));
    if context.global.json {
        finished(&answer, Some(name.as_str()).filter(|name| !name.is_empty()))
    } else {
        ExitCode::from(exit_code::of(answer.outcome))
    }
}

/// The command line, and the name of its command.
fn parsed() -> Result<(Cli, String), clap::Error> {
    // What the quick one does not know, as a request for help, is answered by the whole one.
    let matches = quick().try_get_matches().or_else(|_| Cli::command().try_get_matches())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))?;
    if cli.global.connect.len() > 1 && !matches!(cli.command, Some(Command::List(_))) {
        return Err(Cli::command().error(ErrorKind::TooManyValues, "only 'list' takes more than one --connect"));
    }
    let names = std::iter::successors(matches.subcommand(), |(_, matches)| matches.subcommand()).map(|(name, _)| name);
    Ok((cli, names.collect::<Vec<_>>().join(" ")))
}

/// Reports a command line that is wrong, or prints the help that it asks for.
fn misused(error: &clap::Error) -> ExitCode {
    let mut words = words().take_while(|word| word != "--");
    if !error.use_stderr() || !words.any(|word| word == "--json") {
        error.exit();
    }
    let command = named();
    let mut causes = Vec::new();
    let (message, remedy) = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Its text is all of the help.
        let program = ["vgapt"].into_iter().chain(command.as_deref()).collect::<Vec<_>>().join(" ");
        (format!("'{program}' requires a subcommand but one was not provided"), format!("see {program} --help"))
    } else {
        let text = error.render().to_string();
        let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
        let message = paragraphs.next().unwrap_or_default();
        let (usage, said): (Vec<_>, Vec<_>) = paragraphs.partition(|paragraph| paragraph.starts_with("Usage: "));
        causes = usage;
        let tips: Vec<&str> = said.iter().filter_map(|paragraph| paragraph.strip_prefix("tip: ")).collect();
        let program = ["vgapt"].into_iter().chain(command.as_deref()).collect::<Vec<_>>().join(" ");
        let remedy = if tips.is_empty() { format!("see {program} --help") } else { tips.join("; ") };
        (message.trim_start_matches("error: ").to_owned(), remedy)
    };
    let failure = Failure { message, causes, remedy: Some(remedy) };
    finished(&Answer { error: Some(failure), ..Answer::new(Outcome::Usage) }, command.as_deref())
}

fn words() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// The command that a command line names which could not be parsed.
fn named() -> Option<String> {
    let (mut command, mut names) = (Cli::command(), Vec::new());
    for word in words() {
        if let Some(found) = command.find_subcommand(&word).cloned() {
            names.push(word);
            command = found;
        }
    }
    (!names.is_empty()).then(|| names.join(" "))
}

/// The only place that prints a command's document.
fn finished(answer: &Answer, command: Option<&str>) -> ExitCode {
    if !answer.is_printed
        && let Err(error) = output::print(&answer.document(command, Form::Indented))
    {
        output::tell(&format!("vgapt: cannot print the document: {error}\n"));
        return ExitCode::from(exit_code::of(Outcome::Failed));
    }
    ExitCode::from(exit_code::of(answer.outcome))
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
    fn the_quick_command_line_has_each_subcommand() {
        let names = |command: clap::Command| command.get_subcommands().map(|one| one.get_name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(quick()), names(Cli::command()));
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
