//! Applying a plan: the receipt first, then each file, then the commands; and rolling that run back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::outputs::{UNIFIED, makes, outputs};
use super::receipt::{CommandRecord, FORMAT, FileRecord, Made, Progress, Receipt, Store};
use super::undo::{self, Which};
use crate::host::plan::{Plan, Write};
use crate::problem::Problem;
use crate::target::Target;
use crate::target::files::{self, State};

/// The mode of new directories.
const DIRECTORY: u32 = 0o755;

/// One run of `vgapt prepare`: begun, and then confirmed or rolled back.
pub struct Run {
    target: Target,
    number: u32,
    receipt: Receipt,
    /// The original state of each file that it writes.
    beginning: BTreeMap<String, Option<State>>,
}

impl Run {
    /// Records what is about to be done. Nothing of the host is changed yet, even if this fails.
    ///
    /// # Errors
    /// If a file changed since the plan was made, or the receipt cannot be written.
    pub fn begin(plan: &Plan, target: &Target) -> Result<Self> {
        let beginning =
            plan.writes.iter().map(|write| Ok((write.place.clone(), unchanged_since(write, target)?))).collect::<Result<_>>()?;
        let store = Store::of(target);
        let directories = missing_directories(plan, target)?;
        let begun = store.begin(|keeper| {
            let mut files = Vec::new();
            for (index, write) in plan.writes.iter().enumerate() {
                let before = target.read(&write.place)?;
                let after = after(write, before.as_ref());
                files.push(FileRecord {
                    path: write.path.clone(),
                    place: write.place.clone(),
                    before: before.map(|state| keeper.keep(&format!("{index}.before"), &state)).transpose()?,
                    after: after.map(|state| keeper.keep(&format!("{index}.after"), &state)).transpose()?,
                });
            }
            let commands = plan.commands.iter().map(|command| CommandRecord {
                argv: command.argv.clone(),
                undo: command.undo.clone(),
                makes: command.makes.clone(),
                begun: false,
                made: Vec::new(),
            });
            Ok(Receipt {
                format: FORMAT,
                vgapt: env!("CARGO_PKG_VERSION").to_owned(),
                made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
                progress: Progress::Applying,
                directories: directories.clone(),
                files,
                commands: commands.collect(),
            })
        });
        match begun {
            Ok((number, receipt)) => Ok(Self { target: target.clone(), number, receipt, beginning }),
            Err(error) => Err(match forsake(&store, &directories, target) {
                Ok(()) => error,
                Err(other) => error.context(format!("the incomplete {} could not be removed ({other:#})", Store::PATH)),
            }),
        }
    }

    /// Applies the plan and reports each step to `tell`. If it fails, the caller has to call [`Self::roll_back`].
    ///
    /// # Errors
    /// Where a file cannot be written, or a command fails.
    pub fn carry_out(&mut self, plan: &Plan, tell: &dyn Fn(&str)) -> Result<()> {
        for directory in &self.receipt.directories {
            self.target.make_directory(directory, DIRECTORY)?;
        }
        for write in &plan.writes {
            tell(&format!("{} {}", if write.after.is_some() { "writing" } else { "removing" }, write.path));
            let before = self.target.read(&write.place)?;
            match after(write, before.as_ref()) {
                Some(state) => self.target.put(&write.place, &state)?.tell(&write.path, tell),
                None => self.target.remove(&write.place)?,
            }
        }
        if self.target.is_live() {
            for (index, command) in plan.commands.iter().enumerate() {
                tell(&format!("running {}", command.argv.join(" ")));
                self.run_command(index)?;
            }
        }
        Ok(())
    }

    /// Marks the receipt as applied, after the verification.
    ///
    /// # Errors
    /// Where the receipt cannot be written.
    pub fn confirm(&mut self) -> Result<()> {
        self.receipt.progress = Progress::Applied;
        Store::of(&self.target).save(self.number, &self.receipt)
    }

    /// Rolls this run back, whatever its receipt's state, and compares the result with the original state.
    ///
    /// # Errors
    /// If something cannot be restored, or differs from before.
    pub fn roll_back(&self, tell: &dyn Fn(&str)) -> Result<()> {
        let undoing = undo::undoing(&self.target, Which::Run(self.number))?;
        undo::undo(&undoing, &self.target, tell)?;
        let mut other = Vec::new();
        for (place, before) in &self.beginning {
            if !files::same(self.target.read(place)?.as_ref(), before.as_ref()) {
                other.push(place.clone());
            }
        }
        for directory in &self.receipt.directories {
            if self.target.exists(directory)? {
                other.push(directory.clone());
            }
        }
        // What a command has regenerated from restored files is correct, even if the bytes differ.
        let anew = |path: &String| self.receipt.commands.iter().any(|one| undoing.commands.contains(&one.argv) && makes(&one.makes, path));
        for made in self.receipt.commands.iter().flat_map(|command| &command.made).filter(|made| !anew(&made.path)) {
            let now = self.target.read(&made.path)?.map(|state| files::digest(&state.bytes));
            if now != made.before.as_ref().map(|kept| kept.sha256.clone()) {
                other.push(made.path.clone());
            }
        }
        if !other.is_empty() {
            bail!("not restored to the original state: {}", other.join(", "));
        }
        Ok(())
    }

    /// The images that a program regenerated; `None` if it did not run.
    pub(super) fn made_by(&self, program: &str) -> Option<Vec<String>> {
        let command =
            self.receipt.commands.iter().find(|command| command.begun && command.argv.first().is_some_and(|name| name == program))?;
        // The files may include boot loader entries.
        let images = command.made.iter().filter(|made| !made.path.ends_with(".conf"));
        let anew = images.filter(|made| made.after.is_some() && made.after != made.before.as_ref().map(|kept| kept.sha256.clone()));
        Some(anew.map(|made| made.path.clone()).collect())
    }

    /// Those files a program makes that are booted: the files that boot loader entries name, and
    /// unified images.
    pub(super) fn booted_from(&self, program: &str) -> Vec<String> {
        let commands = self.receipt.commands.iter().filter(|command| command.argv.first().is_some_and(|name| name == program));
        let booted = |command: &CommandRecord| {
            let is_booted = |path: &&String| command.makes.contains(path) || path.ends_with(UNIFIED);
            command.made.iter().map(|made| &made.path).filter(is_booted).cloned().collect::<Vec<_>>()
        };
        commands.flat_map(booted).collect()
    }

    /// Stores copies of what a command will regenerate, then runs it.
    fn run_command(&mut self, index: usize) -> Result<()> {
        let (store, target) = (Store::of(&self.target), &self.target);
        let makes = self.receipt.commands[index].makes.clone();
        let keeper = store.keeper(self.number)?;
        let mut made = Vec::new();
        for (at, path) in outputs(&makes, target)?.into_iter().enumerate() {
            let before = target.read(&path)?;
            let before = before.map(|state| keeper.keep(&format!("command-{index}-{at}"), &state)).transpose();
            let before = before.with_context(|| format!("cannot store a copy of {path}, so the command is not run"))?;
            made.push(Made { path, before, after: None });
        }
        self.receipt.commands[index].made = made;
        self.receipt.commands[index].begun = true;
        store.save(self.number, &self.receipt)?;
        let argv = self.receipt.commands[index].argv.clone();
        let Some(ran) = target.run(&argv)? else { return Ok(()) };
        if !ran.success() {
            bail!("{} failed ({}): {}", argv.join(" "), ran.status, ran.last_lines());
        }
        let record = &mut self.receipt.commands[index];
        for path in outputs(&makes, target)? {
            if !record.made.iter().any(|made| made.path == path) {
                record.made.push(Made { path, before: None, after: None });
            }
        }
        for made in &mut record.made {
            if let Some(state) = target.read(&made.path)? {
                target.sync(&made.path)?;
                made.after = Some(files::digest(&state.bytes));
            }
        }
        store.save(self.number, &self.receipt)
    }
}

/// Removes what a run left that failed to begin.
fn forsake(store: &Store, directories: &[String], target: &Target) -> Result<()> {
    store.tidy()?;
    directories.iter().rev().try_for_each(|directory| target.remove_directory(directory))
}

fn after(write: &Write, before: Option<&State>) -> Option<State> {
    let text = write.after.as_deref()?;
    Some(match before {
        Some(before) => State { bytes: text.as_bytes().to_vec(), ..before.clone() },
        None => State::new(text, write.mode),
    })
}

/// The present file, if it is still the one for which the plan was made.
fn unchanged_since(write: &Write, target: &Target) -> Result<Option<State>> {
    let now = target.read(&write.place)?;
    if now.as_ref().map(|state| state.bytes.as_slice()) == write.before.as_deref().map(str::as_bytes) {
        return Ok(now);
    }
    Err(Problem::new(format!("{} changed since the plan was made", write.path), "run vgapt prepare again").into())
}

/// The missing parent directories of new files, the outer ones first.
fn missing_directories(plan: &Plan, target: &Target) -> Result<Vec<String>> {
    let mut missing: Vec<String> = Vec::new();
    let files = plan.writes.iter().filter(|write| write.after.is_some()).map(|write| write.place.as_str());
    for file in files.chain([Store::PATH]) {
        let above = Path::new(file).ancestors().skip(1).filter(|directory| directory.parent().is_some());
        let mut new: Vec<String> = Vec::new();
        for directory in above.map(|directory| directory.to_string_lossy().into_owned()) {
            if !missing.contains(&directory) && !target.exists(&directory)? {
                new.push(directory);
            }
        }
        new.reverse();
        missing.extend(new);
    }
    Ok(missing)
}

/// The commands that were recorded, not run, for a tree that is not the running system.
///
/// # Errors
/// Where a receipt cannot be read.
pub fn noted(target: &Target) -> Result<Vec<Vec<String>>> {
    if target.is_live() {
        return Ok(Vec::new());
    }
    let commands = Store::of(target).all()?.known.into_iter().flat_map(|(_, receipt)| receipt.commands);
    Ok(commands.filter(|command| !command.begun).map(|command| command.argv).collect())
}
