//! `vgapt disk commit`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Context;
use super::super::shared::refused::Refused;
use super::chain::existing;
use super::disk_context::{DiskContext, human_size};
use super::guard::{check_not_read_only, check_space};
use super::options::BeforeWriting;
use super::search::Searched;
use super::tools::ToolRun;
use crate::disk::{Image, argv, directory};
use crate::model::Finding;
use crate::output::Answer;
use crate::problem::Problem;

/// Write the content of an overlay into its backing file
///
/// The overlay stays complete until the commit has finished: if the command is interrupted, the disk is intact
/// through the overlay, and the same command finishes the commit. Do not use the backing file alone before that.
/// Afterwards the overlay is empty and can still be used.
///
/// A commit corrupts every other overlay of the backing file. vgapt therefore searches for other overlays: in the
/// folders of all disks of all domains, their snapshots and libvirt's storage pools, in the folders of the overlay and
/// of the backing file, and in small folders below these; it prints what was searched. An overlay that cannot be read,
/// a folder that cannot be searched, or a libvirt that does not answer blocks the commit; --force overrides. An overlay
/// in any other folder is not found: name the folder with --search, or merge the overlay into a new disk instead, which
/// changes nothing (vgapt disk merge).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt disk commit win11.qcow2.diff
  vgapt disk commit win11.qcow2.diff --search /srv/images")]
pub(super) struct Arguments {
    /// The overlay to commit
    overlay: PathBuf,
    #[command(flatten)]
    before: BeforeWriting,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let disk_context = DiskContext::open(context)?;
        let overlay = disk_context.disk(&self.overlay, self.before.stated.options())?;
        let Some(below) = overlay.chain.base() else {
            let message = format!("{} has no backing file", overlay.path.display());
            let remedy = "name an overlay; see its backing chain: vgapt disk info FILE";
            return Err(Refused::from(Finding::error("no-backing-file", message, remedy)).into());
        };
        let base = existing(Path::new(&below.path))?;
        let (shown, size) = (base.display(), overlay.image().actual_size);
        let in_use = disk_context.check_running_domains(&base, |_| true);
        let writable = [disk_context.check_writable(&overlay)?, check_not_read_only(&base)].concat();
        let search = disk_context.search((&base, &below.format), Some(&overlay.path), &self.before.further)?;
        let space = if base.starts_with("/dev") { Vec::new() } else { check_space(directory(&base), size) };
        let against = [in_use, writable, search.findings(&base), space, check_image(overlay.image())].concat();
        disk_context.check(against, "nothing was committed", self.before.force.force)?;
        context.progress(&search.told(&base));
        if !below.snapshots.is_empty() {
            let names = below.snapshots.join(", ");
            context.progress(&format!("note: the snapshots in {shown} ({names}) stay; they do not contain what is committed now"));
        }
        let name = overlay.path.display();
        context.progress(&format!("committing {} from {name} into {shown}", human_size(size)));
        let since = Instant::now();
        commit_overlay(&disk_context, &overlay.path, overlay.format(), &base)?;
        let words = format!("{shown} now contains everything, in {:.1?}; {name} is empty, and can still be used", since.elapsed());
        Ok(disk_context.done(&words, Committed { overlay: overlay.path, base, searched: search.facts() }))
    }
}

/// Writes the content of an overlay into its backing file.
pub(super) fn commit_overlay(disk_context: &DiskContext<'_>, overlay: &Path, format: &str, base: &Path) -> Result<()> {
    let (over, below) = (overlay.display(), base.display());
    let state =
        format!("through {over} the disk is unchanged; do not use {below} on its own before 'vgapt disk commit {over}' has finished");
    let work = ToolRun { label: "committing", if_interrupted: &state, temporary: None };
    let complaint = disk_context.run(&argv::commit(overlay, format), &work)?;
    if complaint.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        format!("qemu-img printed errors while it wrote {over} into {below}: {complaint}"),
        format!("check both for errors: qemu-img check {below}; qemu-img check {over}"),
    )
    .into())
}

/// An overlay is not corrupt, and has no snapshots: these also use its backing file, which a commit changes.
fn check_image(overlay: &Image) -> Vec<Finding> {
    let (path, names) = (&overlay.path, overlay.snapshots.join(", "));
    let corrupt = overlay.corrupt.then(|| {
        let remedy = format!("check what can be repaired: qemu-img check {path}");
        Finding::error("corrupt", format!("{path} is marked as corrupt"), remedy)
    });
    let snapshots = (!overlay.snapshots.is_empty()).then(|| {
        Finding::error(
            "snapshots",
            format!("{path} contains snapshots ({names}), which a commit would corrupt"),
            format!("make a standalone copy instead (vgapt disk merge {path} NEW), or delete them: qemu-img snapshot -d NAME {path}"),
        )
    });
    corrupt.into_iter().chain(snapshots).collect()
}

/// What `vgapt disk commit` answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Committed {
    overlay: PathBuf,
    base: PathBuf,
    searched: Searched,
}
