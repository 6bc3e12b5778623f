//! `vgapt disk merge`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::chain::Disk;
use super::disk_context::{DiskContext, human_size};
use super::guard::check_space;
use super::options::{Trust, format_name, new_format};
use super::tools::ToolRun;
use crate::disk::{Staged, argv, directory, free_space};
use crate::interrupt::Interrupted;
use crate::output::Answer;
use crate::problem::Problem;

/// Copy the complete content of an overlay into a new disk of any format
///
/// Copies the complete content of an overlay into a new disk; the overlay and its backing chain stay unchanged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk merge win11.qcow2.diff new.qcow2")]
pub(super) struct Arguments {
    /// The disk to copy, an overlay or not
    overlay: PathBuf,
    /// The new disk
    new: PathBuf,
    /// Its format: qcow2, raw, vmdk, vdi, vhdx, … [default: from the file name's extension, else qcow2]
    #[arg(long, value_parser = format_name)]
    format: Option<String>,
    /// The format of the disk to copy (raw, qcow2, …), if neither its domain nor its name states it, or its content looks like another
    #[arg(long, value_parser = format_name, value_name = "FORMAT")]
    source_format: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

const IF_INTERRUPTED: &str = "the sources are unchanged, and no new disk was created";

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let new = std::path::absolute(&self.new).context("cannot determine the current directory")?;
        let overlay = disk_context.disk(&self.overlay, self.trust.options("--source-format", self.source_format.as_deref()))?;
        let format = new_format(&new, self.format.as_deref());
        let target = disk_context.check_target(&new);
        let source = disk_context.check_readable(&overlay)?;
        let needed = disk_context.space_of_copy(overlay.image(), format)?;
        let against = [target, source, check_space(directory(&new), needed)].concat();
        disk_context.check(against, "nothing was merged", false)?;
        let room = free_space(directory(&new)).map(|free| format!(", {} free", human_size(free))).unwrap_or_default();
        context.progress(&format!("{} needs up to {} as {format}{room}", new.display(), human_size(needed)));
        for image in overlay.chain.0.iter().filter(|image| !image.snapshots.is_empty()) {
            let names = image.snapshots.join(", ");
            context.progress(&format!(
                "note: the snapshots in {} ({names}) are not copied: the new disk contains only the current state",
                image.path
            ));
        }
        let staged = Staged::of_format(&new, format)?;
        let since = Instant::now();
        let work = ToolRun { label: "merging", if_interrupted: IF_INTERRUPTED, temporary: None };
        let words = disk_context.run(&argv::convert(&overlay.path, overlay.format(), format, &staged.path()), &work)?;
        verify(&disk_context, &words, &overlay, &staged.path(), format)?;
        staged.publish()?;
        let (shown, source) = (new.display(), overlay.path.display());
        let words = format!("{shown} was created in {:.1?}: the complete content of {source}, without a backing file", since.elapsed());
        let format = format.to_owned();
        Ok(disk_context.done(&words, Merged { source: overlay.path, disk: new, format }))
    }
}

/// Verifies the copy before it gets its final name: qemu-img may print errors and exit with code 0.
fn verify(disk_context: &DiskContext<'_>, words: &str, source: &Disk, copy: &Path, format: &str) -> Result<()> {
    let copied = disk_context.image(copy, format).context("the copy that qemu-img made cannot be read and was discarded")?.virtual_size;
    let size = source.image().virtual_size;
    if copied < size {
        return Err(Problem::new(
            format!("the size of qemu-img's copy is {copied}, but that of the disk is {size}; the copy was discarded"),
            "check the disk for errors: qemu-img check",
        )
        .into());
    }
    if words.is_empty() {
        return Ok(());
    }
    disk_context.context.progress(&format!("note: qemu-img printed errors ({words}); the copy is compared with the disk"));
    let work = ToolRun { label: "comparing", if_interrupted: IF_INTERRUPTED, temporary: None };
    match disk_context.run(&argv::compare(&source.path, source.format(), copy, format), &work) {
        Ok(_) => Ok(()),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => Err(Problem::new(
            format!("qemu-img printed errors, and its copy differs from the disk; the copy was discarded: {words} ({error:#})"),
            "see the errors of qemu-img, and check the disk: qemu-img check",
        )
        .into()),
    }
}

/// What `vgapt disk merge` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Merged {
    source: PathBuf,
    disk: PathBuf,
    format: String,
}
