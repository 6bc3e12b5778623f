//! `vgapt disk merge`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::create::{new_format, staged};
use super::desk::{Desk, refused};
use super::guard::{Will, directory, existing, rough};
use super::work::Work;
use crate::disk::{argv, parse_measure};
use crate::model::{Finding, Size};

/// The overlay and what it lies on stay as they are.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The disk to copy, an overlay or not
    overlay: PathBuf,
    /// The new disk
    new: PathBuf,
    /// Its format: qcow2, raw, vmdk, vdi, vhdx, … [default: what the name's ending says, else qcow2]
    #[arg(long)]
    format: Option<String>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let desk = Desk::open(context)?;
        let overlay = existing(&self.overlay)?;
        let new = std::path::absolute(&self.new).context("cannot tell the current directory")?;
        let chain = desk.chain(&overlay)?;
        let mut against = desk.against_target(&new);
        against.extend(desk.against_use(&overlay, Will::Read)?);
        against.extend(Desk::against_half_written(&overlay));
        let format = new_format(&new, self.format.as_deref());
        let needed = needed(&desk, &overlay, &chain.top().format, format)?;
        let free = Desk::against_room(directory(&new), needed).unwrap_or_else(|finding: Finding| {
            against.push(finding);
            None
        });
        if let Some(code) = desk.refusal(&against, "nothing is merged")? {
            return Ok(code);
        }
        let room = free.map(|free| format!(", {} are free", rough(free))).unwrap_or_default();
        context.note(&format!("{} takes up to {} as {format}{room}", new.display(), rough(needed)));
        for image in chain.0.iter().filter(|image| !image.snapshots.is_empty()) {
            let names = image.snapshots.join(", ");
            context
                .note(&format!("note: the snapshots in {} ({names}) are not copied: the new disk has its present state only", image.path));
        }
        let staged = staged(&new, format)?;
        let since = Instant::now();
        let work = Work { label: "merging", if_interrupted: "the sources are as they were, and there is no new disk", temporary: None };
        work.run(&desk, &argv::convert(&overlay, &chain.top().format, format, &staged.path()))?;
        staged.publish()?;
        let words = format!("{} is made in {:.1?}: all of {}, on its own", new.display(), since.elapsed(), overlay.display());
        desk.done(&words, json!({"source": overlay, "disk": new, "format": format}))
    }
}

/// The room that a copy takes.
pub(super) fn needed(desk: &Desk<'_>, disk: &std::path::Path, from: &str, to: &str) -> Result<Size> {
    let said = desk.ask(&argv::measure(disk, from, to))?;
    if let Some(measure) = parse_measure(&said.stdout) {
        return Ok(Size::from_bytes(measure.required));
    }
    // Not every format can be measured; a copy is at most what the guest sees, and some tables.
    if !said.success() && !said.stderr.contains("does not support") {
        return Err(refused("the copy's size cannot be told", &said.stderr));
    }
    Ok(Size::from_bytes(desk.chain(disk)?.top().virtual_size.bytes()))
}
