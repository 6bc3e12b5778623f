//! `vgapt disk copy-in`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::commit::bring_down;
use super::desk::{Desk, refused};
use super::guard::{Will, directory, existing};
use super::work::Work;
use crate::disk::{Chain, Staged, argv};
use crate::model::Size;
use crate::problem::Problem;

/// Room for what the guest's file system writes beside the files.
const BESIDE: Size = Size::from_mib(64);

/// It is copied into an overlay first, and goes into the disk only when it is whole: until then the
/// disk is as it was, byte for byte. What is cut off later is finished by the next run.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file or directory to copy
    path: PathBuf,
    /// The disk
    disk: PathBuf,
    /// The directory in the guest, which must be there
    #[arg(value_name = "DIR")]
    directory: String,
}

/// What is copied but not yet in the disk.
pub(super) fn pending(disk: &Path) -> PathBuf {
    PathBuf::from(format!("{}.copied-in", disk.display()))
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let desk = Desk::open(context)?;
        let what = self.path.canonicalize().map_err(|error| {
            Problem::new(format!("{} cannot be copied: {error}", self.path.display()), "name a file or directory that is there")
        })?;
        let disk = existing(&self.disk)?;
        let pending = pending(&disk);
        let chain = desk.chain(&disk)?;
        let unfinished = pending.exists();
        let mut against = if unfinished { Vec::new() } else { desk.against_target(&pending) };
        against.extend(desk.against_use(&disk, Will::Write)?);
        against.extend(Desk::against_writing(&disk));
        against.extend(desk.against_overlays(&disk, unfinished.then_some(&pending))?);
        // Once in the overlay, once in the disk.
        let twice = Size::from_bytes((size_of(&what) + BESIDE.bytes()).saturating_mul(2));
        against.extend(Desk::against_room(directory(&disk), twice).err());
        if let Some(code) = desk.refusal(&against, "nothing is copied in")? {
            return Ok(code);
        }
        if unfinished {
            context.note(&format!("note: copying into {} was cut off; it is finished first", disk.display()));
            finish(&desk, &pending, &disk)?;
        }
        let since = Instant::now();
        self.copy(&desk, &what, &disk, &chain)?;
        finish(&desk, &pending, &disk)?;
        let words = format!("{} is in {} of {}, in {:.1?}", what.display(), self.directory, disk.display(), since.elapsed());
        desk.done(&words, json!({"path": what, "disk": disk, "directory": self.directory}))
    }

    fn copy(&self, desk: &Desk<'_>, what: &Path, disk: &Path, chain: &Chain) -> Result<()> {
        let staged = Staged::beside(&pending(disk))?;
        let made = desk.ask(&argv::overlay(&staged.path(), disk, &chain.top().format))?;
        if !made.success() {
            return Err(refused("cannot make a temporary overlay", &made.stderr));
        }
        let work = Work { label: "copying", if_interrupted: "the disk is as it was", temporary: staged.scratch() };
        work.run(desk, &argv::copy_in(what, &staged.path(), "qcow2", &self.directory))?;
        staged.publish()
    }
}

/// The overlay goes into the disk, and away.
fn finish(desk: &Desk<'_>, pending: &Path, disk: &Path) -> Result<()> {
    bring_down(desk, pending, "qcow2", disk)?;
    fs::remove_file(pending).with_context(|| format!("cannot take {} away; it is empty now", pending.display()))
}

fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}
