//! `vgapt disk merge`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::disk_context::DiskContext;
use super::guard::AccessMode;
use super::made::{needed, new_format, staged};
use super::paths::{directory, existing};
use super::shown::human_size;
use super::stated::{Trust, format_name};
use super::work::ToolRun;
use crate::disk::{Image, argv};
use crate::interrupt::Interrupted;
use crate::model::Finding;
use crate::problem::Problem;

/// Copy the complete content of an overlay into a new disk of any format
///
/// Copies the complete content of an overlay into a new disk; the overlay and its backing chain stay unchanged.
#[derive(Debug, clap::Args)]
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

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let overlay = existing(&self.overlay)?;
        let new = std::path::absolute(&self.new).context("cannot determine the current directory")?;
        let chain = disk_context.chain(&self.overlay, self.trust.options("--source-format", self.source_format.as_deref()))?;
        let mut against = disk_context.check_target(&new);
        against.extend(disk_context.check_in_use(&chain, AccessMode::Read)?);
        against.extend(DiskContext::check_pending_copy(&overlay));
        let format = new_format(&new, self.format.as_deref());
        let needed = needed(&disk_context, chain.top(), format)?;
        let free = DiskContext::check_space(directory(&new), needed).unwrap_or_else(|finding: Finding| {
            against.push(finding);
            None
        });
        if let Some(code) = disk_context.refusal(&against, "nothing was merged", false)? {
            return Ok(code);
        }
        let room = free.map(|free| format!(", {} free", human_size(free))).unwrap_or_default();
        context.note(&format!("{} needs up to {} as {format}{room}", new.display(), human_size(needed)));
        for image in chain.0.iter().filter(|image| !image.snapshots.is_empty()) {
            let names = image.snapshots.join(", ");
            context.note(&format!(
                "note: the snapshots in {} ({names}) are not copied: the new disk contains only the current state",
                image.path
            ));
        }
        let staged = staged(&new, format)?;
        let since = Instant::now();
        let work = ToolRun { label: "merging", if_interrupted: "the sources are unchanged, and no new disk was created", temporary: None };
        let words = work.run(&disk_context, &argv::convert(&overlay, &chain.top().format, format, &staged.path()))?;
        verify(&disk_context, &words, chain.top(), &staged.path(), format)?;
        staged.publish()?;
        let words = format!(
            "{} was created in {:.1?}: the complete content of {}, without a backing file",
            new.display(),
            since.elapsed(),
            overlay.display()
        );
        disk_context.done(&words, json!({"source": overlay, "disk": new, "format": format}))
    }
}

/// Verifies the copy before it gets its final name: qemu-img may print errors and exit with code 0.
fn verify(disk_context: &DiskContext<'_>, words: &str, source: &Image, copy: &Path, format: &str) -> Result<()> {
    let made = disk_context.image(copy, format).context("the copy that qemu-img made cannot be read and was discarded")?;
    if made.virtual_size < source.virtual_size {
        return Err(Problem::new(
            format!(
                "the size of qemu-img's copy is {}, but that of the disk is {}; the copy was discarded",
                made.virtual_size, source.virtual_size
            ),
            "check the disk for errors: qemu-img check",
        )
        .into());
    }
    if words.is_empty() {
        return Ok(());
    }
    disk_context.context.note(&format!("note: qemu-img printed errors ({words}); the copy is compared with the disk"));
    let compare = ToolRun { label: "comparing", if_interrupted: "the sources are unchanged, and no new disk was created", temporary: None };
    compare.run(disk_context, &argv::compare(Path::new(&source.path), &source.format, copy, format)).map(drop).map_err(|error| {
        if error.is::<Interrupted>() {
            return error;
        }
        let remedy = "see the errors of qemu-img, and check the disk: qemu-img check";
        Problem::new(
            format!("qemu-img printed errors, and its copy differs from the disk; the copy was discarded: {words} ({error:#})"),
            remedy,
        )
        .into()
    })
}
