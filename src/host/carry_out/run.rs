//! Carrying out a plan: the receipt first, then each file, then the commands; and rolling that run back.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::command;
use super::receipt::{CommandRun, FORMAT, Progress, Receipt};
use super::store::{Store, Stored, above};
use super::undo::{self, Which};
use crate::host::plan::Plan;
use crate::model::{Finding, shell_command};
use crate::target::Target;
use crate::target::files::{self, State};

/// The mode of new directories.
const DIRECTORY: u32 = 0o755;

/// One run of `vgapt prepare`: begun, and then confirmed or rolled back.
pub struct Run {
    target: Target,
    stored: Stored,
    /// Each file that it writes, in the order of the receipt: as it was, and as it will be.
    files: Vec<(Option<State>, Option<State>)>,
}

impl Run {
    /// Records what is about to be done. Nothing of the host is changed yet, even if this fails.
    pub fn begin(plan: &Plan, target: &Target) -> Result<Self> {
        let mut files = Vec::new();
        for write in &plan.writes {
            let before = write.present(target)?;
            let after = write.result(before.as_ref());
            files.push((before, after));
        }
        let directories = missing_directories(plan, target)?;
        let mut store = Store::open(target)?;
        let begun = store.begin(|folder| {
            let writes = plan.writes.iter().zip(&files).enumerate();
            let commands = plan.commands.iter().cloned();
            Ok(Receipt {
                format: FORMAT,
                vgapt: env!("CARGO_PKG_VERSION").to_owned(),
                made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
                progress: Progress::Applying,
                directories: directories.clone(),
                files: writes.map(|(index, (write, states))| write.stored(index, states, folder)).collect::<Result<_>>()?,
                commands: commands.map(|command| CommandRun { command, begun: false, made: Vec::new() }).collect(),
                groups: plan.groups.clone(),
            })
        });
        match begun {
            Ok(stored) => Ok(Self { target: target.clone(), stored, files }),
            Err(error) => {
                let cleaned = store.tidy().and_then(|()| directories.iter().rev().try_for_each(|path| target.remove_directory(path)));
                Err(match cleaned {
                    Ok(()) => error,
                    Err(other) => error.context(format!("the incomplete {} could not be removed ({other:#})", Store::PATH)),
                })
            }
        }
    }

    /// Does what was recorded, and reports each step to `tell`; returns warnings of what could not be done and is not needed. If it
    /// fails, the caller has to call [`Self::roll_back`].
    pub fn carry_out(&mut self, tell: &dyn Fn(&str)) -> Result<Vec<Finding>> {
        let receipt = &self.stored.receipt;
        for directory in &receipt.directories {
            self.target.make_directory(directory, DIRECTORY)?;
        }
        for (write, (_, after)) in receipt.files.iter().zip(&self.files) {
            write.carry_out(after.as_ref(), &self.target, tell)?;
        }
        let commands = if self.target.is_live() { receipt.commands.len() } else { 0 };
        let mut warnings = Vec::new();
        for index in 0..commands {
            tell(&format!("running {}", shell_command(&self.stored.receipt.commands[index].command.argv)));
            warnings.extend(command::carry_out(&mut self.stored, index, &self.target)?);
        }
        Ok(warnings)
    }

    /// Marks the receipt as applied, after the verification.
    pub fn confirm(&mut self) -> Result<()> {
        self.stored.receipt.progress = Progress::Applied;
        self.stored.save(&self.stored.receipt)
    }

    /// Rolls this run back, whatever its receipt's state, and compares the result with the original state.
    pub fn roll_back(&self, tell: &dyn Fn(&str)) -> Result<()> {
        // What counts is what is on the disk: the receipt may have been written or not.
        let undoing = undo::undoing(&self.target, Which::Run(self.stored.number))?;
        undo::undo(&undoing, &self.target, tell)?;
        let receipt = &self.stored.receipt;
        let mut other = Vec::new();
        for (write, (before, _)) in receipt.files.iter().zip(&self.files) {
            if !files::same(self.target.read(&write.place)?.as_ref(), before.as_ref()) {
                other.push(write.place.clone());
            }
        }
        for directory in &receipt.directories {
            if self.target.exists(directory)? {
                other.push(directory.clone());
            }
        }
        // What a command has regenerated from restored files is correct, even if the bytes differ.
        let anew = |path: &str| receipt.commands.iter().any(|run| undoing.commands.contains(&run.command.argv) && run.makes(path));
        // The plan's own files were compared above: before the command they had the plan's content.
        let is_own = |path: &str| receipt.files.iter().any(|write| write.place == path);
        for made in receipt.commands.iter().flat_map(|run| &run.made).filter(|made| !anew(&made.path) && !is_own(&made.path)) {
            let now = self.target.read(&made.path)?.as_ref().map(State::digest);
            if now.as_ref() != made.before.as_ref().map(|kept| &kept.sha256) {
                other.push(made.path.clone());
            }
        }
        if !other.is_empty() {
            bail!("not restored to the original state: {}", other.join(", "));
        }
        Ok(())
    }

    /// The commands, with what they made.
    pub(super) fn commands(&self) -> &[CommandRun] {
        &self.stored.receipt.commands
    }
}

/// The missing parent directories of new files, the outer ones first.
fn missing_directories(plan: &Plan, target: &Target) -> Result<Vec<String>> {
    let mut missing: Vec<String> = Vec::new();
    let files = plan.writes.iter().filter(|write| write.after.is_some()).map(|write| write.place.as_str());
    for file in files.chain([Store::PATH]) {
        for directory in above(file) {
            if !missing.contains(&directory) && !target.exists(&directory)? {
                missing.push(directory);
            }
        }
    }
    Ok(missing)
}
