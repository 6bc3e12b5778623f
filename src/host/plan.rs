//! What will be done to a host: a list that is shown, compared, applied and undone.

use serde::Serialize;

use crate::model::{ConfigFile, Finding, Setup};

/// Everything that will be done, and nothing else is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// The files that are written, in order.
    pub writes: Vec<Write>,
    /// The commands that are run after that, in order.
    pub commands: Vec<Command>,
    /// Why the host has to be booted again; empty: it does not.
    pub reboot: Vec<String>,
    /// The kernel parameters that the next boot must have.
    pub parameters: Vec<Parameter>,
    /// The kernel parameter that switches the early binding off for one boot.
    pub switch_off: Option<String>,
    /// What must be in the initramfs: paths, or their ends.
    pub in_initramfs: Vec<String>,
    /// What speaks against it, and what is good to know.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.commands.is_empty()
    }

    pub(super) fn add(&mut self, edits: Edits) {
        self.writes.extend(edits.writes);
        for command in edits.commands {
            match self.commands.iter_mut().find(|known| known.argv == command.argv) {
                Some(known) => known.makes.extend(command.makes),
                None => self.commands.push(command),
            }
        }
    }
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Write {
    /// Its path.
    pub path: String,
    /// Where it really lies, symbolic links followed.
    pub place: String,
    /// Why.
    pub why: String,
    /// Its text now; `None` where it is new.
    pub before: Option<String>,
    /// Its text then; `None` where it is taken away.
    pub after: Option<String>,
    /// Permission bits for a new file; an old one keeps its own.
    pub mode: u32,
}

/// A command that is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Why.
    pub why: String,
    /// The files that it makes anew: paths, or directories with the beginning of a name.
    pub makes: Vec<String>,
    /// What takes it back, where giving back the files that it made does not.
    pub undo: Option<Vec<String>>,
}

impl Command {
    pub(super) fn of(argv: &[&str], why: &str) -> Self {
        Self { argv: argv.iter().map(|word| (*word).to_owned()).collect(), why: why.to_owned(), makes: Vec::new(), undo: None }
    }

    pub(super) fn making(mut self, files: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.makes = files.into_iter().map(Into::into).collect();
        self
    }
}

/// A kernel parameter that is needed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// As it stands on the command line; with `-` before it: taken off.
    pub token: String,
    /// Why.
    pub why: String,
}

/// A part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Edits {
    pub(super) writes: Vec<Write>,
    pub(super) commands: Vec<Command>,
}

impl Edits {
    /// A file that is to have this text; nothing where it has it.
    ///
    /// # Errors
    /// Where what is there cannot be taken for a text.
    pub(super) fn write(&mut self, setup: &Setup, path: &str, after: String, mode: u32, why: &str) -> Result<(), Finding> {
        let known = setup.files.0.get(path);
        let before = known.map(|file| text_of(path, file)).transpose()?;
        if before == Some(after.as_str()) {
            return Ok(());
        }
        self.writes.push(Write {
            path: path.to_owned(),
            place: known.map_or_else(|| path.to_owned(), |file| file.place.clone()),
            why: why.to_owned(),
            before: before.map(str::to_owned),
            after: Some(after),
            mode: known.map_or(mode, |file| file.mode),
        });
        Ok(())
    }

    /// A file that is taken away; nothing where it is missing.
    pub(super) fn remove(&mut self, setup: &Setup, path: &str, why: &str) -> Result<(), Finding> {
        let Some(file) = setup.files.0.get(path) else { return Ok(()) };
        let before = Some(text_of(path, file)?.to_owned());
        let (path, place, why) = (path.to_owned(), file.place.clone(), why.to_owned());
        self.writes.push(Write { path, place, why, before, after: None, mode: file.mode });
        Ok(())
    }

    /// A file that exists, changed; nothing where it is missing or stays as it is.
    pub(super) fn change(&mut self, setup: &Setup, path: &str, why: &str, change: impl FnOnce(&str) -> String) -> Result<(), Finding> {
        let Some(file) = setup.files.0.get(path) else { return Ok(()) };
        self.write(setup, path, change(text_of(path, file)?), file.mode, why)
    }
}

/// Whether a file is all vgapt's: its first comment says so, behind a line that names an interpreter.
pub(super) fn is_ours(text: &str) -> bool {
    text.lines().take(2).any(|line| line.starts_with("# Written by `vgapt prepare`"))
}

/// The text of a file that is about to be changed.
pub(super) fn text_of<'a>(path: &str, file: &'a ConfigFile) -> Result<&'a str, Finding> {
    file.text.as_deref().map_err(|what| {
        Finding::fatal(
            "file",
            format!("{path} {what}"),
            format!("put {path} right, or away, and run vgapt prepare again; nothing was changed"),
        )
    })
}
