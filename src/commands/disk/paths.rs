//! The paths of disk images.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::problem::Problem;

/// The real path of an existing disk.
pub(super) fn existing(path: &Path) -> Result<PathBuf> {
    let place = path.canonicalize().map_err(|error| {
        Problem::new(format!("the disk {} does not exist: {error}", path.display()), "name an existing image or block device")
    })?;
    // On a pipe, qemu-img would wait until a process writes to it.
    let kind = place.metadata().map(|metadata| metadata.file_type()).ok();
    let what = kind.and_then(|kind| match kind {
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_char_device() => Some("a character device"),
        _ => None,
    });
    if let Some(what) = what {
        return Err(Problem::new(format!("{} is {what}, not a disk", path.display()), "name an image or a block device").into());
    }
    Ok(place)
}

/// The directory that contains a path.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The overlay with files that `vgapt disk copy-in` has copied, but not yet committed to the disk.
pub(super) fn pending(disk: &Path) -> PathBuf {
    PathBuf::from(format!("{}.copied-in", disk.display()))
}
