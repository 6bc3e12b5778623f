//! Carrying a plan out: the receipt first, then each file, then the commands.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::files::{self, State};
use super::plan::{Plan, Write};
use super::receipt::{CommandRecord, FileRecord, Made, Progress, Receipt, Store};
use super::target::Target;
use crate::problem::Problem;
use crate::run;

/// The mode of new directories.
const DIRECTORY: u32 = 0o755;

/// How the names of unified images end.
pub(super) const UNIFIED: &str = ".efi";

/// A plan that was carried out and is to be proved.
pub struct Applied {
    number: u32,
    receipt: Receipt,
}

/// Carries a plan out; `tell` hears of each step. What fails on the way is the caller's to take back, with [`super::undo()`].
///
/// # Errors
/// Where a file changed since the plan was made, cannot be written, or a command fails.
pub fn apply(plan: &Plan, target: &Target, tell: &dyn Fn(&str)) -> Result<Applied> {
    for write in &plan.writes {
        unchanged_since(write, target)?;
    }
    let store = Store::of(target);
    let directories = missing_directories(plan, target);
    let (number, mut receipt) = store.begin(|keeper| {
        let mut files = Vec::new();
        for (index, write) in plan.writes.iter().enumerate() {
            let before = State::read(&target.at(&write.place))?;
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
            vgapt: env!("CARGO_PKG_VERSION").to_owned(),
            made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            progress: Progress::Applying,
            directories,
            files,
            commands: commands.collect(),
        })
    })?;
    for directory in &receipt.directories {
        files::make_directory(&target.at(directory), DIRECTORY)?;
    }
    for write in &plan.writes {
        tell(&format!("{} {}", if write.after.is_some() { "writing" } else { "removing" }, write.path));
        let place = target.at(&write.place);
        match after(write, State::read(&place)?.as_ref()) {
            Some(state) => state.put(&place)?,
            None => files::remove(&place)?,
        }
    }
    if target.is_live() {
        for (index, command) in plan.commands.iter().enumerate() {
            tell(&format!("running {}", command.argv.join(" ")));
            run_command(&store, number, &mut receipt, index, target)?;
        }
    }
    Ok(Applied { number, receipt })
}

impl Applied {
    /// The images that a program made anew; `None` where it did not run.
    pub(super) fn made_by(&self, program: &str) -> Option<Vec<String>> {
        let command =
            self.receipt.commands.iter().find(|command| command.begun && command.argv.first().is_some_and(|name| name == program))?;
        // The entries of a boot loader may be among what was made.
        let images = command.made.iter().filter(|made| !made.path.ends_with(".conf"));
        let anew = images.filter(|made| made.after.is_some() && made.after != made.before.as_ref().map(|kept| kept.sha256.clone()));
        Some(anew.map(|made| made.path.clone()).collect())
    }

    /// What is booted of that which a program makes: the files that the entries of a boot loader name,
    /// and unified images.
    pub(super) fn booted_from(&self, program: &str) -> Vec<String> {
        let commands = self.receipt.commands.iter().filter(|command| command.argv.first().is_some_and(|name| name == program));
        let booted = |command: &CommandRecord| {
            let is_booted = |path: &&String| command.makes.contains(path) || path.ends_with(UNIFIED);
            command.made.iter().map(|made| &made.path).filter(is_booted).cloned().collect::<Vec<_>>()
        };
        commands.flat_map(booted).collect()
    }

    /// It is proved: the receipt says so from now on.
    ///
    /// # Errors
    /// Where the receipt cannot be written.
    pub fn confirm(mut self, target: &Target) -> Result<()> {
        self.receipt.progress = Progress::Applied;
        Store::of(target).save(self.number, &self.receipt)
    }
}

fn after(write: &Write, before: Option<&State>) -> Option<State> {
    let text = write.after.as_deref()?;
    Some(match before {
        Some(before) => State { bytes: text.as_bytes().to_vec(), ..before.clone() },
        None => State::new(text, write.mode),
    })
}

fn unchanged_since(write: &Write, target: &Target) -> Result<()> {
    let now = State::read(&target.at(&write.place))?;
    if now.map(|state| state.bytes).as_deref() == write.before.as_deref().map(str::as_bytes) {
        return Ok(());
    }
    Err(Problem::new(format!("{} changed since the plan was made", write.path), "run vgapt prepare again").into())
}

/// The directories on the way to new files, the outer ones first.
fn missing_directories(plan: &Plan, target: &Target) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    let files = plan.writes.iter().filter(|write| write.after.is_some()).map(|write| write.place.as_str());
    for file in files.chain([Store::PATH]) {
        let above = Path::new(file).ancestors().skip(1).filter(|directory| directory.parent().is_some());
        let mut new: Vec<String> = above
            .map(|directory| directory.to_string_lossy().into_owned())
            .filter(|directory| !target.at(directory).exists() && !missing.contains(directory))
            .collect();
        new.reverse();
        missing.extend(new);
    }
    missing
}

/// What a command will make anew is kept before it runs.
fn run_command(store: &Store, number: u32, receipt: &mut Receipt, index: usize, target: &Target) -> Result<()> {
    let makes = receipt.commands[index].makes.clone();
    let keeper = store.keeper(number);
    let mut made = Vec::new();
    for (at, path) in outputs(&makes, target).into_iter().enumerate() {
        let before = State::read(&target.at(&path))?;
        let before = before.map(|state| keeper.keep(&format!("command-{index}-{at}"), &state)).transpose();
        let before = before.with_context(|| format!("cannot keep a copy of {path}, so nothing is made anew"))?;
        made.push(Made { path, before, after: None });
    }
    receipt.commands[index].made = made;
    receipt.commands[index].begun = true;
    store.save(number, receipt)?;
    let argv = receipt.commands[index].argv.clone();
    let ran = run::output(&argv)?;
    if !ran.success() {
        bail!("{} failed ({}): {}", argv.join(" "), ran.status, ran.last_words());
    }
    let record = &mut receipt.commands[index];
    for path in outputs(&makes, target) {
        if !record.made.iter().any(|made| made.path == path) {
            record.made.push(Made { path, before: None, after: None });
        }
    }
    for made in &mut record.made {
        let place = target.at(&made.path);
        if let Some(state) = State::read(&place)? {
            files::sync(&place).with_context(|| format!("cannot write {}", made.path))?;
            made.after = Some(files::digest(&state.bytes));
        }
    }
    store.save(number, receipt)
}

/// The commands that were noted down for a tree that is not the running system, and not run.
///
/// # Errors
/// Where a receipt cannot be read.
pub fn noted(target: &Target) -> Result<Vec<Vec<String>>> {
    let receipts = Store::of(target).all()?;
    let commands = receipts.into_iter().flat_map(|(_, receipt)| receipt.commands);
    Ok(commands.filter(|command| !command.begun && !target.is_live()).map(|command| command.argv).collect())
}

/// The files that a command makes: by path, by the beginning of their names, or all below a directory.
pub(super) fn outputs(makes: &[String], target: &Target) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in makes {
        let (directory, prefix) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        below(target, directory, prefix, prefix.is_empty(), &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn below(target: &Target, directory: &str, prefix: &str, deep: bool, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(target.at(directory)) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{directory}/{name}");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_file() && name.starts_with(prefix) {
            found.push(path);
        } else if kind.is_dir() && deep {
            below(target, &path, "", true, found);
        }
    }
}
