//! `vgapt completions`, and the answers to the shells: the script that it prints calls vgapt again at each key, with an
//! environment variable set.

mod bash;
mod table;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::output::{self, Answer, Outcome};
#[cfg(test)]
pub(crate) use table::source;

/// The environment variable by which a shell asks; its value is the shell's name.
pub(crate) const VARIABLE: &str = "VGAPT_COMPLETE";
/// How long a user waits for an answer. After that there is none.
const LIMIT: Duration = Duration::from_secs(1);

/// How clap's script for zsh ends.
const ZSH_END: &str = "\ncompdef _clap_dynamic_completer_vgapt vgapt";
/// A file that zsh loads at the first key has to answer this one, too.
const ZSH_LOADED: &str = r#"
if [[ $funcstack[1] == _vgapt ]]; then
    _clap_dynamic_completer_vgapt "$@"
else
    compdef _clap_dynamic_completer_vgapt vgapt
fi"#;

/// Print completions for a shell
///
/// Prints a script for a shell, which asks vgapt for completions at each key: of subcommands and options, and also of
/// domains, cards, USB devices, networks and files.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt completions bash > ~/.local/share/bash-completion/completions/vgapt
  vgapt completions zsh > \"${fpath[1]}/_vgapt\"
  vgapt completions fish > ~/.config/fish/completions/vgapt.fish")]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Answer> {
        output::print_document(&script(self.shell)?)?;
        Ok(Answer::printed(Outcome::Done))
    }
}

fn script(shell: Shell) -> Result<String> {
    if shell == Shell::Bash {
        return Ok(bash::SCRIPT.to_owned());
    }
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).context("clap_complete has a script for each shell that it knows")?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "vgapt", "vgapt", "vgapt", &mut script)?;
    Ok(String::from_utf8(script)?.replace(ZSH_END, ZSH_LOADED))
}

/// Answers a shell that asks; `None` where none does. Nothing but candidates is printed: an error would appear in the
/// middle of a line that somebody is typing.
pub(crate) fn answer(command: fn() -> Command) -> Option<ExitCode> {
    let shell = std::env::var(VARIABLE).ok().filter(|shell| !shell.is_empty())?;
    let given: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let (sender, answer) = channel();
    // What hangs (libvirt, a disk) ends with this program.
    let thinks = thread::Builder::new().spawn(move || sender.send(candidates(command, &shell, given)));
    if thinks.is_ok()
        && let Ok(Some(text)) = answer.recv_timeout(LIMIT)
    {
        // A shell that is gone needs no answer.
        let _ = output::print_document(&text);
    }
    Some(ExitCode::SUCCESS)
}

/// What to offer, in the form that this shell reads.
fn candidates(command: fn() -> Command, shell: &str, given: Vec<OsString>) -> Option<String> {
    let directory = std::env::current_dir().ok();
    if given.is_empty() {
        return None;
    }
    if shell == "bash" {
        let line = bash::Line::of(&given)?;
        let mut command = table::with_values(command(), &line.words.clone().into());
        let words = line.words.iter().map(OsString::from).collect();
        let found = clap_complete::engine::complete(&mut command, words, line.words.len() - 1, directory.as_deref()).ok()?;
        return Some(line.answer(&found));
    }
    let words: Arc<[String]> = given.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = table::with_values(command(), &words);
    let mut text = Vec::new();
    Shells::builtins().completer(shell)?.write_complete(&mut command, given, directory.as_deref(), &mut text).ok()?;
    String::from_utf8(text).ok()
}
