//! What speaks against a recipe.

use std::path::Path;

use anyhow::Result;

use super::desk::{Desk, refused};
use super::paths::{directory, pending};
use super::shown::{rough, shortened};
use crate::disk::{self, Chain, argv, same_file};
use crate::model::{Finding, Reading, Size, shell_word};

/// What a recipe does with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Will {
    /// Nobody may write to it meanwhile.
    Read,
    /// Nobody may have it.
    Write,
}

impl Desk<'_> {
    /// Takes away what killed runs left in a folder, and says so.
    pub(super) fn sweep(&self, folder: &Path) {
        for left in disk::sweep(folder) {
            let what = if left.removed { "removed" } else { "could not be removed; take it away" };
            self.context.note(&format!("note: {} was left by a run that was killed: {what}", left.path.display()));
        }
    }

    /// What speaks against writing a new file: it exists, or its directory is shut.
    pub(super) fn against_target(&self, target: &Path) -> Vec<Finding> {
        let shown = target.display();
        self.sweep(directory(target));
        match Reading::of(target.symlink_metadata(), &shown.to_string()) {
            Reading::Known(_) => {
                return vec![Finding::fatal("target-exists", format!("{shown} exists"), "name another target, or take that one away")];
            }
            Reading::Absent => {}
            Reading::Unknown(because) => {
                let message = format!("it is not known whether there is a file {shown}: {because}");
                return vec![Finding::fatal("target-unknown", message, "name a target in a folder that you may look into")];
            }
        }
        let home = directory(target);
        if !home.is_dir() {
            return vec![Finding::fatal(
                "no-directory",
                format!("there is no directory {}", home.display()),
                "make it, or name another target",
            )];
        }
        let why = disk::is_read_only(home);
        why.map(|why| Finding::fatal("read-only", format!("nothing can be made in {}: {why}", home.display()), "name a target elsewhere"))
            .into_iter()
            .collect()
    }

    /// Running domains that have an image.
    pub(super) fn against_use(&self, image: &Path, will: Will) -> Vec<Finding> {
        let mut findings = Vec::new();
        for user in self.domains.iter().filter(|user| user.known.state.is_active()) {
            let has = user.disks.iter().find(|(used, path)| same_file(path, image) && (will == Will::Write || !used.read_only));
            findings.extend(has.map(|(used, _)| {
                let name = &user.known.name;
                Finding::fatal(
                    "in-use",
                    format!("the domain '{name}' runs and has {} as {}", image.display(), used.target),
                    format!("stop it first: vgapt stop {}", shell_word(name)),
                )
            }));
        }
        findings
    }

    /// Other processes that have an image or what it lies on.
    pub(super) fn against_locks(&self, chain: &Chain) -> Result<Option<Finding>> {
        for image in &chain.0 {
            let said = self.ask(&argv::info(Path::new(&image.path), &image.format, false))?;
            if !said.success() && disk::says_locked(&said.stderr) {
                return Ok(Some(Finding::fatal(
                    "locked",
                    format!("another process writes to {}: QEMU's lock is taken", image.path),
                    "shut the machine that uses it down first",
                )));
            }
            if !said.success() {
                return Err(refused(&format!("it cannot be told whether another process has {}", image.path), &said));
            }
        }
        Ok(None)
    }

    /// Both: domains of the disk itself, processes of all of its chain.
    pub(super) fn against_users(&self, chain: &Chain, will: Will) -> Result<Vec<Finding>> {
        let mut findings = self.against_use(Path::new(&chain.top().path), will);
        if findings.is_empty() {
            findings.extend(self.against_locks(chain)?);
        }
        Ok(findings)
    }

    /// Domains that cannot be asked, where a copy of a disk in use would be taken for a good one.
    pub(super) fn against_unknown_use(&self, image: &Path) -> Option<Finding> {
        (!self.unknown_domains.is_empty()).then(|| {
            Finding::blocker(
                "use-unknown",
                format!("it is not known whether a domain uses {}: {}", image.display(), shortened(&self.unknown_domains)),
                "make that readable (start libvirt, run it as root); or use --force: the copy of a disk that a guest writes to meanwhile is broken",
            )
        })
    }

    /// Why an image may not be written to.
    pub(super) fn against_writing(image: &Path) -> Option<Finding> {
        let why = disk::is_read_only(image)?;
        let remedy = format!("if that is not on purpose: chmod u+w {}; or make a merged copy: vgapt disk merge", image.display());
        Some(Finding::fatal("read-only", format!("{} is not written to: {why}", image.display()), remedy))
    }

    /// A disk into which something was being copied when it was cut off.
    pub(super) fn against_half_written(image: &Path) -> Option<Finding> {
        let pending = pending(image);
        let is_there = match pending.try_exists() {
            Ok(is_there) => is_there,
            Err(error) => {
                let message =
                    format!("it is not known whether copying into {} was cut off: {}: {error}", image.display(), pending.display());
                return Some(Finding::blocker("half-written-unknown", message, "run it as a user who may look there, or use --force"));
            }
        };
        is_there.then(|| {
            Finding::fatal(
                "half-written",
                format!("copying into {} was cut off on its last step; only through {} is it whole", image.display(), pending.display()),
                format!("finish it: vgapt disk commit {0} && rm {0}", pending.display()),
            )
        })
    }

    /// Too little room in a directory; the room that is left where it is enough.
    pub(super) fn against_room(home: &Path, needed: Size) -> Result<Option<Size>, Finding> {
        match disk::free_space(home) {
            Some(free) if free < needed => Err(Finding::fatal(
                "no-room",
                format!("{} has room for {}, and up to {} may be needed", home.display(), rough(free), rough(needed)),
                "make room, or name a target on another file system",
            )),
            free => Ok(free),
        }
    }
}
