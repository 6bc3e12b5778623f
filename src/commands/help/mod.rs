//! What clap does not do for the help and for usage errors: groups of subcommands, and suggestions by meaning.

pub(crate) mod groups;
pub(crate) mod meaning;

use clap::error::ErrorKind;
use clap::{Command, Error};

/// The same error, with the subcommands of vgapt's own help in groups, and with what a word from elsewhere is called here.
pub(crate) fn improved(error: Error, command: fn() -> Command) -> Error {
    if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        return error;
    }
    let command = command();
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let addressed = addressed(&command, &words);
    let is_whole = addressed.get_name() == command.get_name();
    match error.kind() {
        ErrorKind::DisplayHelp if is_whole => groups::grouped(command.clone()).try_get_matches().err().unwrap_or(error),
        ErrorKind::InvalidSubcommand if is_whole => meaning::of_subcommand(error),
        ErrorKind::UnknownArgument => meaning::of_option(error, addressed),
        _ => error,
    }
}

/// The command that these words address: `vgapt disk create`, `vgapt help disk create`.
fn addressed<'c>(command: &'c Command, words: &[String]) -> &'c Command {
    words.iter().fold(command, |command, word| command.find_subcommand(word).unwrap_or(command))
}
