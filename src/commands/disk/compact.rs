//! `vgapt disk compact`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::disk_context::{DiskContext, human_size};
use super::guard::check_space;
use super::options::{Force, Stated};
use super::tools::ToolRun;
use crate::disk::{Scratch, Staged, argv, directory};
use crate::model::{Finding, Size};
use crate::output::Answer;

/// Copy a disk compressed, without the blocks that the guest does not use
///
/// Copies a disk compressed, without the blocks that the guest's file systems do not use (by libguestfs). The
/// temporary files are written beside the disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk compact win11.qcow2 small.qcow2")]
pub(super) struct Arguments {
    /// The disk to copy
    disk: PathBuf,
    /// The new disk, in qcow2 format
    new: PathBuf,
    #[command(flatten)]
    stated: Stated,
    #[command(flatten)]
    force: Force,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let new = std::path::absolute(&self.new).context("cannot determine the current directory")?;
        let disk = disk_context.disk(&self.disk, self.stated.options())?;
        disk_context.sweep(directory(&disk.path));
        let target = disk_context.check_target(&new);
        let source = [disk_context.check_readable(&disk)?, disk_context.check_domains_known(&disk.path)].concat();
        // Unused blocks are overwritten in a temporary overlay, which may grow to the disk's virtual size.
        let temporary = disk.image().virtual_size;
        let copy = disk_context.space_of_copy(disk.image(), "qcow2")?;
        let against = [target, source, check_both(&disk.path, temporary, &new, copy)].concat();
        disk_context.check(against, "nothing was compacted", self.force.force)?;
        context.progress(&format!(
            "temporary files need up to {} in {}, {} up to {}",
            human_size(temporary),
            directory(&disk.path).display(),
            new.display(),
            human_size(copy)
        ));
        let scratch = Scratch::beside(&disk.path)?;
        let staged = Staged::beside(&new)?;
        let since = Instant::now();
        let work = ToolRun {
            label: "compacting",
            if_interrupted: "the disk is unchanged, and no new disk was created",
            temporary: Some(scratch.path()),
        };
        let words = disk_context.run(&argv::sparsify(&disk.path, disk.format(), "qcow2", scratch.path(), &staged.path()), &work)?;
        disk_context.check_new_image(&staged.path(), disk.image().virtual_size, &words)?;
        staged.publish()?;
        let size = disk_context.image(&new, "qcow2")?.actual_size;
        let before = Size::from_bytes(disk.chain.0.iter().map(|image| image.actual_size.bytes()).sum());
        let (shown, elapsed) = (new.display(), since.elapsed());
        let words = format!("{shown} was created in {elapsed:.1?}: {} instead of {}", human_size(size), human_size(before));
        Ok(disk_context.done(&words, Compacted { source: disk.path, disk: new, actual_size: size }))
    }
}

/// There is space for the temporary files and for the copy, which may share a file system.
fn check_both(disk: &Path, temporary: Size, new: &Path, copy: Size) -> Vec<Finding> {
    let device = |path: &Path| directory(path).metadata().map(|metadata| metadata.dev()).ok();
    if device(disk) == device(new) {
        return check_space(directory(disk), Size::from_bytes(temporary.bytes().saturating_add(copy.bytes())));
    }
    [check_space(directory(disk), temporary), check_space(directory(new), copy)].concat()
}

/// What `vgapt disk compact` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Compacted {
    source: PathBuf,
    disk: PathBuf,
    /// The space that the new disk uses, in bytes.
    actual_size: Size,
}
