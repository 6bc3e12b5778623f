//! `vgapt disk compact`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::disk_context::DiskContext;
use super::guard::AccessMode;
use super::made::{check_new_image, needed};
use super::paths::{directory, existing};
use super::shown::human_size;
use super::stated::{Force, Stated};
use super::work::ToolRun;
use crate::disk::{Scratch, Staged, argv};
use crate::model::{Finding, Size};

/// Copy a disk compressed, without the blocks that the guest does not use
///
/// Copies a disk compressed, without the blocks that the guest's file systems do not use (by libguestfs). The
/// temporary files are written beside the disk.
#[derive(Debug, clap::Args)]
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
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let disk = existing(&self.disk)?;
        let new = std::path::absolute(&self.new).context("cannot determine the current directory")?;
        let chain = disk_context.chain(&self.disk, self.stated.options())?;
        let mut against = disk_context.check_target(&new);
        disk_context.sweep(directory(&disk));
        against.extend(disk_context.check_in_use(&chain, AccessMode::Read)?);
        against.extend(disk_context.check_unknown_domains(&disk));
        against.extend(DiskContext::check_pending_copy(&disk));
        // Unused blocks are overwritten in a temporary overlay, which may grow to the disk's virtual size.
        let temporary = chain.top().virtual_size;
        let copy = needed(&disk_context, chain.top(), "qcow2")?;
        against.extend(no_room(&disk, temporary, &new, copy));
        if let Some(code) = disk_context.refusal(&against, "nothing was compacted", self.force.force)? {
            return Ok(code);
        }
        context.note(&format!(
            "temporary files need up to {} in {}, {} up to {}",
            human_size(temporary),
            directory(&disk).display(),
            new.display(),
            human_size(copy)
        ));
        let scratch = Scratch::beside(&disk)?;
        let staged = Staged::beside(&new)?;
        let since = Instant::now();
        let work = ToolRun {
            label: "compacting",
            if_interrupted: "the disk is unchanged, and no new disk was created",
            temporary: Some(scratch.path()),
        };
        let words = work.run(&disk_context, &argv::sparsify(&disk, &chain.top().format, "qcow2", scratch.path(), &staged.path()))?;
        check_new_image(&disk_context, &staged.path(), chain.top().virtual_size, &words)?;
        staged.publish()?;
        let size = disk_context.image(&new, "qcow2")?.actual_size;
        let before = chain.0.iter().map(|image| image.actual_size.bytes()).sum();
        let words = format!(
            "{} was created in {:.1?}: {} instead of {}",
            new.display(),
            since.elapsed(),
            human_size(size),
            human_size(Size::from_bytes(before))
        );
        disk_context.done(&words, json!({"source": disk, "disk": new, "actual-size": size}))
    }
}

/// The temporary files and the copy may share a file system.
fn no_room(disk: &Path, temporary: Size, new: &Path, copy: Size) -> Vec<Finding> {
    let device = |path: &Path| directory(path).metadata().map(|metadata| metadata.dev()).ok();
    if device(disk) == device(new) {
        let both = Size::from_bytes(temporary.bytes().saturating_add(copy.bytes()));
        return DiskContext::check_space(directory(disk), both).err().into_iter().collect();
    }
    let places = [DiskContext::check_space(directory(disk), temporary), DiskContext::check_space(directory(new), copy)];
    places.into_iter().filter_map(Result::err).collect()
}
