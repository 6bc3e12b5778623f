//! Checks before a disk command.

use std::path::Path;

use anyhow::Result;

use super::disk_context::{DiskContext, refused};
use super::paths::{directory, pending};
use super::shown::{human_size, shortened};
use crate::disk::{self, Chain, argv, same_file};
use crate::model::{Finding, Reading, Size, shell_word};

/// What a disk command does with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessMode {
    /// No other process may write to it.
    Read,
    /// No other process may use it.
    Write,
}

impl DiskContext<'_> {
    /// Removes what killed runs left in a folder, with a note for each.
    pub(super) fn sweep(&self, folder: &Path) {
        for left in disk::sweep(folder) {
            let what = if left.removed { "removed" } else { "could not be removed; remove it by hand" };
            self.context.note(&format!("note: {} was left by a run that was killed: {what}", left.path.display()));
        }
    }

    /// Checks that a new file can be written: it must not exist, and its directory must be writable.
    pub(super) fn check_target(&self, target: &Path) -> Vec<Finding> {
        let shown = target.display();
        self.sweep(directory(target));
        match Reading::of(target.symlink_metadata(), &shown.to_string()) {
            Reading::Known(_) => {
                return vec![Finding::error(
                    "target-exists",
                    format!("{shown} already exists"),
                    "name another target, or remove that file",
                )];
            }
            Reading::Absent => {}
            Reading::Unknown(because) => {
                let message = format!("it is unknown whether {shown} exists: {because}");
                return vec![Finding::error("target-unknown", message, "name a target in a folder that you may read")];
            }
        }
        let home = directory(target);
        if !home.is_dir() {
            return vec![Finding::error(
                "no-directory",
                format!("the directory {} does not exist", home.display()),
                "create it, or name another target",
            )];
        }
        let why = disk::is_read_only(home);
        why.map(|why| {
            Finding::error("read-only", format!("nothing can be created in {}: {why}", home.display()), "name a target elsewhere")
        })
        .into_iter()
        .collect()
    }

    /// Running domains that use an image.
    pub(super) fn check_running_domains(&self, image: &Path, will: AccessMode) -> Vec<Finding> {
        let mut findings = Vec::new();
        for user in self.domains.iter().filter(|user| user.known.state.is_active()) {
            let has = user.disks.iter().find(|(used, path)| same_file(path, image) && (will == AccessMode::Write || !used.read_only));
            findings.extend(has.map(|(used, _)| {
                let name = &user.known.name;
                Finding::error(
                    "in-use",
                    format!("the domain '{name}' is running and uses {} as {}", image.display(), used.target),
                    format!("stop it first: vgapt stop {}", shell_word(name)),
                )
            }));
        }
        findings
    }

    /// Other processes that use an image or its backing chain.
    pub(super) fn check_locks(&self, chain: &Chain) -> Result<Option<Finding>> {
        for image in &chain.0 {
            let said = self.ask(&argv::info(Path::new(&image.path), &image.format, false))?;
            if !said.success() && disk::says_locked(&said.stderr) {
                return Ok(Some(Finding::error(
                    "locked",
                    format!("another process has {} open for writing: QEMU's lock is held", image.path),
                    "shut down the domain that uses it first",
                )));
            }
            if !said.success() {
                return Err(refused(&format!("it is unknown whether another process uses {}", image.path), &said));
            }
        }
        Ok(None)
    }

    /// Both: domains that use the disk itself, processes that use any image of its chain.
    pub(super) fn check_in_use(&self, chain: &Chain, will: AccessMode) -> Result<Vec<Finding>> {
        let mut findings = self.check_running_domains(Path::new(&chain.top().path), will);
        if findings.is_empty() {
            findings.extend(self.check_locks(chain)?);
        }
        Ok(findings)
    }

    /// Domains that are unknown: if one uses the disk, the copy would be inconsistent.
    pub(super) fn check_unknown_domains(&self, image: &Path) -> Option<Finding> {
        (!self.unknown_domains.is_empty()).then(|| {
            Finding::blocked(
                "use-unknown",
                format!("it is unknown whether a domain uses {}: {}", image.display(), shortened(&self.unknown_domains)),
                "make that readable (start libvirt, run it as root); or use --force: if a guest writes to the disk at the same time, the copy is corrupt",
            )
        })
    }

    /// Why an image may not be written to.
    pub(super) fn check_writable(image: &Path) -> Option<Finding> {
        let why = disk::is_read_only(image)?;
        let remedy = format!("if that is not intended: chmod u+w {}; or make a merged copy: vgapt disk merge", image.display());
        Some(Finding::error("read-only", format!("{} must not be written to: {why}", image.display()), remedy))
    }

    /// A disk into which an interrupted `copy-in` was writing.
    pub(super) fn check_pending_copy(image: &Path) -> Option<Finding> {
        let pending = pending(image);
        let is_there = match pending.try_exists() {
            Ok(is_there) => is_there,
            Err(error) => {
                let message =
                    format!("it is unknown whether a copy into {} was interrupted: {}: {error}", image.display(), pending.display());
                return Some(Finding::blocked(
                    "half-written-unknown",
                    message,
                    "run it as a user who may read that folder, or use --force",
                ));
            }
        };
        is_there.then(|| {
            Finding::error(
                "half-written",
                format!(
                    "a copy into {} was interrupted in its last step; the disk is complete only through {}",
                    image.display(),
                    pending.display()
                ),
                format!("finish it: vgapt disk commit {0} && rm {0}", pending.display()),
            )
        })
    }

    /// The free space of a directory, or a finding where it is too little.
    pub(super) fn check_space(home: &Path, needed: Size) -> Result<Option<Size>, Finding> {
        match disk::free_space(home) {
            Some(free) if free < needed => Err(Finding::error(
                "no-room",
                format!("{} has {} free, but up to {} may be needed", home.display(), human_size(free), human_size(needed)),
                "free some space, or name a target on another file system",
            )),
            free => Ok(free),
        }
    }
}
