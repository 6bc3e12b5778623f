//! Who owns what vgapt records on the host.

use std::path::Path;

use anyhow::Result;

use super::files::told;
use super::folder::Folder;
use crate::problem::Problem;

/// Writable by the group, or by all.
const BY_OTHERS: u32 = 0o022;

/// Refuses a record of vgapt's that another user owns or may write to: its contents decide what is written to the host,
/// with which owners and modes.
pub(crate) fn own(place: &Path, uid: u32, mode: u32) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    let place = place.display();
    if uid == me && mode & BY_OTHERS == 0 {
        return Ok(());
    }
    if uid == 0 && me != 0 {
        let message = format!("it is unknown what vgapt has changed here: {place} belongs to root");
        return Err(Problem::new(message, "run this as root, with --dry-run too: sudo vgapt …").into());
    }
    let what = if uid == me { "other users may write to it".to_owned() } else { format!("it belongs to the user {uid}") };
    let remedy = format!("look at its contents; if they are yours, chown -R {me} it and chmod -R go-w it, otherwise move it away");
    Err(Problem::new(format!("{place}, which records what vgapt has changed here, is not trusted: {what}"), remedy).into())
}

pub(crate) fn own_folder(folder: &Folder) -> Result<()> {
    let status = folder.status().map_err(|error| told("read", folder.shown(), &error))?;
    own(folder.shown(), status.st_uid, status.st_mode)
}
