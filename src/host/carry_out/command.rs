//! Running a command of a plan, and undoing it: copies of the files that it makes are stored before it runs, and their
//! digests afterwards.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use rustix::fs::FileType;

use super::receipt::{CommandRun, Made};
use super::store::Stored;
use crate::model::{Finding, shell_command};
use crate::target::Target;
use crate::target::files::{self, State};

/// Runs a command of the running system; in a tree nothing is run.
pub(super) fn run(argv: &[String], target: &Target) -> Result<()> {
    match target.run(argv)? {
        Some(ran) if !ran.success() => bail!("{} failed ({}): {}", shell_command(argv), ran.status, ran.last_lines()),
        _ => Ok(()),
    }
}

/// Stores copies of what a command of a receipt will regenerate, then runs it. Returns a warning where one fails that the rest
/// does not need.
pub(super) fn carry_out(stored: &mut Stored, index: usize, target: &Target) -> Result<Option<Finding>> {
    let command = stored.receipt.commands[index].command.clone();
    let mut made = Vec::new();
    for (at, path) in outputs(&command.makes, target)?.into_iter().enumerate() {
        let before = target.read(&path)?;
        let before = before.map(|state| stored.keep(&format!("command-{index}-{at}"), &state)).transpose();
        let before = before.with_context(|| format!("cannot store a copy of {path}, so the command is not run"))?;
        made.push(Made { path, before, after: None });
    }
    stored.receipt.commands[index] = CommandRun { command: command.clone(), begun: true, made };
    stored.save(&stored.receipt)?;
    let failed = match (run(&command.argv, target), &command.lacking) {
        (Err(error), Some(lacking)) => Some(not_done(&command.argv, lacking, &error)),
        (ran, _) => ran.map(|()| None)?,
    };
    let made = &mut stored.receipt.commands[index].made;
    for path in outputs(&command.makes, target)? {
        if !made.iter().any(|made| made.path == path) {
            made.push(Made { path, before: None, after: None });
        }
    }
    for made in made {
        if let Some(state) = target.read(&made.path)? {
            target.sync(&made.path)?;
            made.after = Some(state.digest());
        }
    }
    stored.save(&stored.receipt)?;
    Ok(failed)
}

fn not_done(argv: &[String], lacking: &str, error: &anyhow::Error) -> Finding {
    let message = format!("the host still lacks {lacking}; {error:#}");
    Finding::warning("not-installed", message, format!("correct what it names, then run: {}", shell_command(argv)))
}

impl CommandRun {
    pub(super) fn is_of(&self, program: &str) -> bool {
        self.command.argv.first().is_some_and(|name| name == program)
    }

    /// Whether it makes a file.
    pub(super) fn makes(&self, path: &str) -> bool {
        self.command.makes.iter().any(|pattern| path.starts_with(pattern.as_str()))
    }

    /// Whether these files, or others that the command makes, were regenerated since: then the stored copies are
    /// outdated. `digests` holds what each file will be once the newer commands are undone.
    pub(super) fn is_stale(&self, target: &Target, digests: &mut BTreeMap<String, Option<String>>) -> Result<bool> {
        let mut stale = false;
        for made in &self.made {
            if !digests.contains_key(&made.path) {
                digests.insert(made.path.clone(), target.read(&made.path)?.as_ref().map(State::digest));
            }
            let now = digests.entry(made.path.clone()).or_default();
            let before = made.before.as_ref().map(|kept| kept.sha256.clone());
            if made.after.is_none() || *now == made.after {
                *now = before;
            } else if now.is_some() && *now != before {
                stale = true;
            }
        }
        let is_known = |path: &String| self.made.iter().any(|made| made.path == *path || leftovers(made).contains(path));
        Ok(stale || outputs(&self.command.makes, target)?.iter().any(|path| !is_known(path)))
    }

    /// Restores boot images and generated configuration, byte for byte, unless they were regenerated since.
    pub(super) fn take_back(&self, by: &Stored, is_restored: &dyn Fn(&str) -> bool, target: &Target, tell: &dyn Fn(&str)) -> Result<()> {
        // Files that were restored already are as before the command, too.
        for made in self.made.iter().filter(|made| !is_restored(&made.path)) {
            if made.after.is_none() {
                for path in leftovers(made) {
                    target.remove(&path)?;
                }
            }
            let digest = target.read(&made.path)?.as_ref().map(State::digest);
            let is_ours = made.after.is_none() || digest == made.after;
            match &made.before {
                Some(kept) if is_ours && digest.as_ref() != Some(&kept.sha256) => {
                    tell(&format!("restoring {}", made.path));
                    target.put(&made.path, &by.content(kept)?)?.tell(&made.path, tell);
                }
                None if is_ours && digest.is_some() => target.remove(&made.path)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a killed program leaves next to the file that it was writing: update-initramfs and
/// grub-mkconfig the new one, update-initramfs also a second name of the old one.
fn leftovers(made: &Made) -> [String; 2] {
    [".new", ".dpkg-bak"].map(|ending| made.path.clone() + ending)
}

/// The files that a command makes: by path, by a prefix of their names, or all below a directory.
fn outputs(makes: &[String], target: &Target) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for pattern in makes {
        let (directory, prefix) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        below(target, directory, prefix, prefix.is_empty(), &mut found)?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn below(target: &Target, directory: &str, prefix: &str, deep: bool, found: &mut Vec<String>) -> Result<()> {
    let Some(folder) = target.folder(if directory.is_empty() { "/" } else { directory })? else { return Ok(()) };
    let entries = folder.entries().map_err(|error| files::told("read", folder.shown(), &error))?;
    for (name, kind) in entries {
        let path = format!("{directory}/{name}");
        match kind {
            FileType::RegularFile if name.starts_with(prefix) => found.push(path),
            FileType::Directory if deep => below(target, &path, "", true, found)?,
            _ => {}
        }
    }
    Ok(())
}
