//! The changes to a host: a list that is shown, compared, stored in a receipt, carried out and undone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ConfigFile, Finding, RecordedGroup, Setup};

/// Everything that will be done, and nothing else is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Plan {
    /// The files that are written, in order.
    #[serde(skip)]
    pub writes: Vec<Write>,
    /// The commands that are run after that, in order.
    pub commands: Vec<Command>,
    /// Why the host has to be rebooted; empty if it does not.
    pub reboot: Vec<String>,
    /// The kernel parameters that the next boot must have.
    pub parameters: Vec<Parameter>,
    /// The kernel parameter that disables the early binding for one boot.
    pub switch_off: Option<String>,
    /// What must be in the initramfs: paths, or suffixes of paths.
    pub in_initramfs: Vec<String>,
    /// The IOMMU groups of what is prepared, as they are now; the receipt keeps them.
    #[serde(skip)]
    pub groups: Vec<RecordedGroup>,
    /// Blockers and warnings.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether the initramfs is made anew, since the early binding changes.
    pub fn makes_initramfs(&self) -> bool {
        self.reboot.iter().any(|why| why == NEW_INITRAMFS)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.commands.is_empty()
    }

    /// Takes out the commands that still have to be run in a tree: alone, they are no reason to prepare it again.
    pub fn leave_out(&mut self, noted: &[Vec<String>]) -> Vec<Command> {
        if !self.writes.is_empty() {
            return Vec::new();
        }
        let (left_out, kept) = std::mem::take(&mut self.commands).into_iter().partition(|command| noted.contains(&command.argv));
        self.commands = kept;
        left_out
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

/// A file that is written. A plan has its texts; a receipt names the files in which the same contents are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Write<Content = String> {
    /// Its path.
    pub path: String,
    /// Its path with symbolic links followed.
    pub place: String,
    /// Why. The first receipts do not say it, nor the mode.
    #[serde(default)]
    pub why: String,
    /// What it contains; `None` if it is new.
    pub before: Option<Content>,
    /// What it contains afterwards; `None` if it is removed.
    pub after: Option<Content>,
    /// Permission bits for a new file; an old one keeps its own.
    #[serde(default)]
    pub mode: u32,
}

/// A command that is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Why. The first receipts do not say it.
    #[serde(default)]
    pub why: String,
    /// The files that it regenerates: paths, or directories with the prefix of a name.
    pub makes: Vec<String>,
    /// The command that undoes it, if restoring the files that it made is not enough.
    pub undo: Option<Vec<String>>,
    /// What is missing without it, if the rest of the plan does not need it: where it fails, that is a warning.
    #[serde(default)]
    pub lacking: Option<String>,
}

impl Command {
    pub(super) fn of(argv: &[&str], why: &str) -> Self {
        Self {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            why: why.to_owned(),
            makes: Vec::new(),
            undo: None,
            lacking: None,
        }
    }

    pub(super) fn making(mut self, files: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.makes = files.into_iter().map(Into::into).collect();
        self
    }
}

/// A kernel parameter that is needed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Parameter {
    /// As on the command line; with a leading `-`: removed.
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
    /// Writes a file with this text; nothing if it has it already. An error if the present file cannot be read as text.
    pub(super) fn write(&mut self, setup: &Setup, path: &str, after: String, mode: u32, why: &str) -> Result<(), Finding> {
        self.set(setup, path, Some(after), mode, why)
    }

    /// Removes a file; nothing if it does not exist.
    pub(super) fn remove(&mut self, setup: &Setup, path: &str, why: &str) -> Result<(), Finding> {
        self.set(setup, path, None, 0, why)
    }

    /// Changes an existing file; nothing if it does not exist or stays unchanged.
    pub(super) fn change(&mut self, setup: &Setup, path: &str, why: &str, change: impl FnOnce(&str) -> String) -> Result<(), Finding> {
        let Some(file) = setup.files.0.get(path) else { return Ok(()) };
        self.write(setup, path, change(text_of(path, file)?), file.mode, why)
    }

    fn set(&mut self, setup: &Setup, path: &str, after: Option<String>, mode: u32, why: &str) -> Result<(), Finding> {
        let known = setup.files.0.get(path);
        let before = known.map(|file| text_of(path, file)).transpose()?.map(str::to_owned);
        if before != after {
            let (place, mode) = known.map_or((path, mode), |file| (&file.place, file.mode));
            let (path, place, why) = (path.to_owned(), place.to_owned(), why.to_owned());
            self.writes.push(Write { path, place, why, before, after, mode });
        }
        Ok(())
    }
}

/// Why a reboot is needed after the initramfs is made anew.
pub(super) const NEW_INITRAMFS: &str = "the new initramfs is loaded at boot";

/// Whether vgapt wrote the whole file: its first comment says so, possibly after a line with an interpreter.
pub fn is_ours(text: &str) -> bool {
    text.lines().take(2).any(|line| line.starts_with("# Written by `vgapt prepare`"))
}

/// The text of a file that is about to be changed.
pub(super) fn text_of<'a>(path: &str, file: &'a ConfigFile) -> Result<&'a str, Finding> {
    file.text.as_deref().map_err(|what| {
        Finding::error(
            "file",
            format!("{path} {what}"),
            format!("correct or remove {path}, and run vgapt prepare again; nothing was changed"),
        )
    })
}
