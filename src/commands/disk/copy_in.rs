//! `vgapt disk copy-in`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::super::Context;
use super::commit::bring_down;
use super::desk::Desk;
use super::guard::Will;
use super::made::sound;
use super::paths::{directory, existing, pending};
use super::stated::BeforeWriting;
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
    #[command(flatten)]
    before: BeforeWriting,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let desk = Desk::open(context)?;
        let what = self.path.canonicalize().map_err(|error| {
            Problem::new(format!("{} cannot be copied: {error}", self.path.display()), "name a file or directory that is there")
        })?;
        let disk = existing(&self.disk)?;
        let pending = pending(&disk);
        let chain = desk.chain(&self.disk, self.before.stated.words())?;
        let unfinished = pending.try_exists().with_context(|| format!("cannot look for {}", pending.display()))?;
        let mut against = if unfinished { Vec::new() } else { desk.against_target(&pending) };
        against.extend(desk.against_users(&chain, Will::Write)?);
        against.extend(Desk::against_writing(&disk));
        let search = desk.search((&disk, &chain.top().format), unfinished.then_some(&pending), &self.before.further)?;
        against.extend(search.findings(&disk));
        // Once in the overlay, once in the disk.
        let size = size_of(&what).map_err(|error| {
            Problem::new(
                format!("{} cannot be copied: not all of it can be read: {error}", what.display()),
                "make it readable, or take it out",
            )
        })?;
        let twice = Size::from_bytes(size.saturating_add(BESIDE.bytes()).saturating_mul(2));
        against.extend(Desk::against_room(directory(&disk), twice).err());
        if let Some(code) = desk.refusal(&against, "nothing is copied in", self.before.force.force)? {
            return Ok(code);
        }
        context.note(&search.told(&disk));
        if unfinished {
            context.note(&format!("note: copying into {} was cut off; it is finished first", disk.display()));
            finish(&desk, &pending, &disk)?;
        }
        let since = Instant::now();
        self.copy(&desk, &what, &disk, &chain)?;
        finish(&desk, &pending, &disk)?;
        let words = format!("{} is in {} of {}, in {:.1?}", what.display(), self.directory, disk.display(), since.elapsed());
        desk.done(&words, json!({"path": what, "disk": disk, "directory": self.directory, "searched": search.json()}))
    }

    fn copy(&self, desk: &Desk<'_>, what: &Path, disk: &Path, chain: &Chain) -> Result<()> {
        let staged = Staged::beside(&pending(disk))?;
        desk.make(&argv::overlay(&staged.path(), disk, &chain.top().format), "cannot make a temporary overlay")?;
        let work = Work { label: "copying", if_interrupted: "the disk is as it was", temporary: staged.scratch() };
        let words = work.run(desk, &argv::copy_in(what, &staged.path(), "qcow2", &self.directory))?;
        sound(desk, &staged.path(), chain.top().virtual_size, &words)?;
        staged.publish()
    }
}

/// The overlay goes into the disk, and away.
fn finish(desk: &Desk<'_>, pending: &Path, disk: &Path) -> Result<()> {
    bring_down(desk, pending, "qcow2", disk)?;
    fs::remove_file(pending).with_context(|| format!("cannot take {} away; it is empty now", pending.display()))
}

fn size_of(path: &Path) -> std::io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.try_fold(0_u64, |size, entry| Ok(size.saturating_add(size_of(&entry?.path())?)))
}
