//! `vgapt disk commit`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::super::Context;
use super::disk_context::DiskContext;
use super::guard::AccessMode;
use super::paths::{directory, existing};
use super::shown::human_size;
use super::stated::BeforeWriting;
use super::work::ToolRun;
use crate::disk::{Image, argv};
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
pub(super) struct Arguments {
    /// The overlay to commit
    overlay: PathBuf,
    #[command(flatten)]
    before: BeforeWriting,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let disk_context = DiskContext::open(context)?;
        let overlay = existing(&self.overlay)?;
        let chain = disk_context.chain(&self.overlay, self.before.stated.options())?;
        let Some(base) = chain.base() else {
            return Err(Problem::new(
                format!("{} has no backing file", overlay.display()),
                "name an overlay; vgapt disk info shows the backing chain",
            )
            .into());
        };
        let (kept, format) = (base.snapshots.clone(), base.format.clone());
        let base = existing(Path::new(&base.path))?;
        let mut against = disk_context.check_running_domains(&base, AccessMode::Write);
        against.extend(disk_context.check_in_use(&chain, AccessMode::Write)?);
        against.extend(DiskContext::check_writable(&base));
        against.extend(DiskContext::check_writable(&overlay));
        let search = disk_context.search((&base, &format), Some(&overlay), &self.before.further)?;
        against.extend(search.findings(&base));
        against.extend(
            (!base.starts_with("/dev")).then(|| DiskContext::check_space(directory(&base), chain.top().actual_size).err()).flatten(),
        );
        against.extend(broken(chain.top()));
        against.extend(with_snapshots(chain.top()));
        if let Some(code) = disk_context.refusal(&against, "nothing was committed", self.before.force.force)? {
            return Ok(code);
        }
        context.note(&search.told(&base));
        if !kept.is_empty() {
            let names = kept.join(", ");
            context.note(&format!("note: the snapshots in {} ({names}) stay; they do not contain what is committed now", base.display()));
        }
        context.note(&format!("committing {1} from {0} into {2}", overlay.display(), human_size(chain.top().actual_size), base.display()));
        let since = Instant::now();
        commit_overlay(&disk_context, &overlay, &chain.top().format, &base)?;
        let words = format!(
            "{} now contains everything, in {:.1?}; {} is empty, and can still be used",
            base.display(),
            since.elapsed(),
            overlay.display()
        );
        disk_context.done(&words, json!({"overlay": overlay, "base": base, "searched": search.json()}))
    }
}

/// Writes the content of an overlay into its backing file.
pub(super) fn commit_overlay(disk_context: &DiskContext<'_>, overlay: &Path, format: &str, base: &Path) -> Result<()> {
    let words = format!(
        "through {} the disk is unchanged; do not use {} on its own before 'vgapt disk commit {}' has finished",
        overlay.display(),
        base.display(),
        overlay.display()
    );
    let complaint =
        ToolRun { label: "committing", if_interrupted: &words, temporary: None }.run(disk_context, &argv::commit(overlay, format))?;
    if complaint.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        format!("qemu-img printed errors while it wrote {} into {}: {complaint}", overlay.display(), base.display()),
        format!("check both for errors: qemu-img check {}; qemu-img check {}", base.display(), overlay.display()),
    )
    .into())
}

/// Snapshots in an overlay also use its backing file, which a commit changes.
fn with_snapshots(overlay: &Image) -> Option<crate::model::Finding> {
    let (path, names) = (&overlay.path, overlay.snapshots.join(", "));
    (!overlay.snapshots.is_empty()).then(|| {
        crate::model::Finding::error(
            "snapshots",
            format!("{path} contains snapshots ({names}), which a commit would corrupt"),
            format!("make a standalone copy instead (vgapt disk merge {path} NEW), or delete them: qemu-img snapshot -d NAME {path}"),
        )
    })
}

fn broken(image: &Image) -> Option<crate::model::Finding> {
    image.corrupt.then(|| {
        crate::model::Finding::error(
            "corrupt",
            format!("{} is marked as corrupt", image.path),
            format!("check what can be repaired: qemu-img check {}", image.path),
        )
    })
}
