//! `vgapt disk copy-in`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::chain::Disk;
use super::commit::commit_overlay;
use super::disk_context::DiskContext;
use super::guard::{check_space, pending_copy};
use super::options::BeforeWriting;
use super::search::Searched;
use super::tools::ToolRun;
use crate::disk::{Staged, argv, directory};
use crate::model::Size;
use crate::output::Answer;
use crate::problem::Problem;

/// Space for the metadata that the guest's file system writes with the files.
const BESIDE: Size = Size::from_mib(64);

/// Copy a file or directory into a guest's file system
///
/// Copies the files into a temporary overlay first, and commits it when the copy is complete: until then the disk is
/// unchanged, byte for byte. A commit that is interrupted is finished by the next run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk copy-in drivers win11.qcow2 /")]
pub(super) struct Arguments {
    /// The file or directory to copy
    path: PathBuf,
    /// The disk
    disk: PathBuf,
    /// The directory in the guest; it must exist
    #[arg(value_name = "DIR")]
    directory: String,
    #[command(flatten)]
    before: BeforeWriting,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let what = self.path.canonicalize().map_err(|error| {
            Problem::new(format!("{} cannot be copied: {error}", self.path.display()), "name an existing file or directory")
        })?;
        let disk = disk_context.disk(&self.disk, self.before.stated.options())?;
        let pending = pending_copy(&disk.path);
        let unfinished = pending.try_exists().with_context(|| format!("cannot look for {}", pending.display()))?;
        let target = if unfinished { Vec::new() } else { disk_context.check_target(&pending) };
        let writable = disk_context.check_writable(&disk)?;
        let search = disk_context.search((&disk.path, disk.format()), unfinished.then_some(&pending), &self.before.further)?;
        let size = size_of(&what).map_err(|error| {
            Problem::new(
                format!("{} cannot be copied: not all of it can be read: {error}", what.display()),
                "make the rest readable, or move it elsewhere",
            )
        })?;
        // The files need space twice: in the overlay and in the disk.
        let twice = Size::from_bytes(size.saturating_add(BESIDE.bytes()).saturating_mul(2));
        let against = [target, writable, search.findings(&disk.path), check_space(directory(&disk.path), twice)].concat();
        disk_context.check(against, "nothing was copied", self.before.force.force)?;
        let shown = disk.path.display();
        context.progress(&search.told(&disk.path));
        if unfinished {
            context.progress(&format!("note: an earlier copy into {shown} was interrupted; it is finished first"));
            finish(&disk_context, &pending, &disk.path)?;
        }
        let since = Instant::now();
        self.copy(&disk_context, &what, &disk, &pending)?;
        finish(&disk_context, &pending, &disk.path)?;
        let words = format!("{} was copied to {} of {shown}, in {:.1?}", what.display(), self.directory, since.elapsed());
        let directory = self.directory.clone();
        Ok(disk_context.done(&words, Copied { path: what, disk: disk.path, directory, searched: search.facts() }))
    }

    fn copy(&self, disk_context: &DiskContext<'_>, what: &Path, disk: &Disk, pending: &Path) -> Result<()> {
        let staged = Staged::beside(pending)?;
        disk_context.make(&argv::overlay(&staged.path(), &disk.path, disk.format()), "cannot create a temporary overlay")?;
        let work = ToolRun { label: "copying", if_interrupted: "the disk is unchanged", temporary: staged.scratch() };
        let words = disk_context.run(&argv::copy_in(what, &staged.path(), "qcow2", &self.directory), &work)?;
        disk_context.check_new_image(&staged.path(), disk.image().virtual_size, &words)?;
        staged.publish()
    }
}

/// Commits the overlay to the disk, and removes it.
fn finish(disk_context: &DiskContext<'_>, pending: &Path, disk: &Path) -> Result<()> {
    commit_overlay(disk_context, pending, "qcow2", disk)?;
    fs::remove_file(pending).with_context(|| format!("cannot remove {}; it is empty now", pending.display()))
}

fn size_of(path: &Path) -> std::io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.try_fold(0_u64, |size, entry| Ok(size.saturating_add(size_of(&entry?.path())?)))
}

/// What `vgapt disk copy-in` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Copied {
    path: PathBuf,
    disk: PathBuf,
    /// The directory in the guest.
    directory: String,
    searched: Searched,
}
