//! What must be true before a disk command changes something. Each check returns the findings against it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::chain::Disk;
use super::disk_context::{DiskContext, human_size, shortened};
use super::tools::failure;
use crate::disk::{self, DiskUse, argv, directory, same_file};
use crate::model::{Finding, Reading, Size, shell_word};

/// The overlay with files that `vgapt disk copy-in` has copied, but not yet committed to the disk.
pub(super) fn pending_copy(disk: &Path) -> PathBuf {
    PathBuf::from(format!("{}.copied-in", disk.display()))
}

impl DiskContext<'_> {
    /// Removes what killed runs left in a folder, with a note for each.
    pub(super) fn sweep(&self, folder: &Path) {
        for left in disk::sweep(folder) {
            let what = if left.removed { "removed" } else { "could not be removed; remove it by hand" };
            self.context.progress(&format!("note: {} was left by a run that was killed: {what}", left.path.display()));
        }
    }

    /// A new file can be written: it does not exist, and its folder is writable.
    pub(super) fn check_target(&self, target: &Path) -> Vec<Finding> {
        let (shown, home) = (target.display(), directory(target));
        self.sweep(home);
        vec![match Reading::of(target.symlink_metadata(), &shown.to_string()) {
            Reading::Known(_) => {
                Finding::error("target-exists", format!("{shown} already exists"), "name another target, or remove that file")
            }
            Reading::Unknown(because) => {
                let message = format!("it is unknown whether {shown} exists: {because}");
                Finding::error("target-unknown", message, "name a target in a folder that you may read")
            }
            Reading::Absent if !home.is_dir() => {
                let message = format!("the folder {} does not exist", home.display());
                Finding::error("no-directory", message, "create it, or name another target")
            }
            Reading::Absent => {
                let Some(why) = disk::is_read_only(home) else { return Vec::new() };
                Finding::error("read-only", format!("nothing can be created in {}: {why}", home.display()), "name a target elsewhere")
            }
        }]
    }

    /// A disk can be read: nobody writes to it, and it is complete.
    pub(super) fn check_readable(&self, disk: &Disk) -> Result<Vec<Finding>> {
        let in_use = self.check_in_use(disk, |used| !used.read_only)?;
        Ok([in_use, check_pending_copy(&disk.path)].concat())
    }

    /// A disk can be written to: nobody uses it, and nothing says that it must not be changed.
    pub(super) fn check_writable(&self, disk: &Disk) -> Result<Vec<Finding>> {
        let in_use = self.check_in_use(disk, |_| true)?;
        Ok([in_use, check_not_read_only(&disk.path)].concat())
    }

    /// No domain uses the disk in this way, and no process any image of its chain.
    fn check_in_use(&self, disk: &Disk, matters: fn(&DiskUse) -> bool) -> Result<Vec<Finding>> {
        let findings = self.check_running_domains(&disk.path, matters);
        if findings.is_empty() { Ok(self.check_locks(disk)?.into_iter().collect()) } else { Ok(findings) }
    }

    /// No running domain uses an image in this way.
    pub(super) fn check_running_domains(&self, image: &Path, matters: fn(&DiskUse) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (domain, disks) in self.libvirt.domains.iter().filter(|(domain, _)| domain.state.is_active()) {
            if let Some((used, _)) = disks.iter().find(|(used, path)| matters(used) && same_file(path, image)) {
                findings.push(Finding::error(
                    "in-use",
                    format!("the domain '{}' is running and uses {} as {}", domain.name, image.display(), used.target),
                    format!("stop it first: vgapt stop {}", shell_word(&domain.name)),
                ));
            }
        }
        findings
    }

    /// No other process has an image of the chain open for writing.
    pub(super) fn check_locks(&self, disk: &Disk) -> Result<Option<Finding>> {
        for image in &disk.chain.0 {
            let said = self.ask(&argv::info(Path::new(&image.path), &image.format, false))?;
            if !said.success() && disk::says_locked(&said.stderr) {
                let message = format!("another process has {} open for writing: QEMU's lock is held", image.path);
                return Ok(Some(Finding::error("locked", message, "shut down the domain that uses it first")));
            }
            if !said.success() {
                return Err(failure(&format!("it is unknown whether another process uses {}", image.path), &said));
            }
        }
        Ok(None)
    }

    /// All domains are known: if an unknown one uses the disk, the copy would be inconsistent.
    pub(super) fn check_domains_known(&self, image: &Path) -> Vec<Finding> {
        if self.libvirt.unknown_domains.is_empty() {
            return Vec::new();
        }
        let message = format!("it is unknown whether a domain uses {}: {}", image.display(), shortened(&self.libvirt.unknown_domains));
        let remedy = "make that readable (start libvirt, run vgapt as root); or use --force: if a guest writes to the disk at the same time, the copy is corrupt";
        vec![Finding::blocked("use-unknown", message, remedy)]
    }
}

/// An image may be written to.
pub(super) fn check_not_read_only(image: &Path) -> Vec<Finding> {
    let shown = image.display();
    let finding = disk::is_read_only(image).map(|why| {
        let remedy = format!("if that is not intended: chmod u+w {shown}; or make a merged copy: vgapt disk merge");
        Finding::error("read-only", format!("{shown} must not be written to: {why}"), remedy)
    });
    finding.into_iter().collect()
}

/// No interrupted `copy-in` was writing into a disk.
pub(super) fn check_pending_copy(image: &Path) -> Vec<Finding> {
    let path = pending_copy(image);
    let (shown, pending) = (image.display(), path.display());
    match path.try_exists() {
        Ok(false) => Vec::new(),
        Ok(true) => vec![Finding::error(
            "half-written",
            format!("a copy into {shown} was interrupted in its last step; the disk is complete only through {pending}"),
            format!("finish it: vgapt disk commit {pending} && rm {pending}"),
        )],
        Err(error) => {
            let message = format!("it is unknown whether a copy into {shown} was interrupted: {pending}: {error}");
            vec![Finding::blocked("half-written-unknown", message, "run it as a user who may read that folder, or use --force")]
        }
    }
}

/// A folder's file system has this much free space, as far as that is known.
pub(super) fn check_space(folder: &Path, needed: Size) -> Vec<Finding> {
    let Some(free) = disk::free_space(folder).filter(|free| *free < needed) else { return Vec::new() };
    let (folder, free, needed) = (folder.display(), human_size(free), human_size(needed));
    vec![Finding::error(
        "no-room",
        format!("{folder} has {free} free, but up to {needed} may be needed"),
        "free some space, or name a target on another file system",
    )]
}
