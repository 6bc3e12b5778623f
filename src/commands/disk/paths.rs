//! Paths of disks.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::problem::Problem;

/// A disk that is there, as one path whatever leads to it.
pub(super) fn existing(path: &Path) -> Result<PathBuf> {
    let place = path.canonicalize().map_err(|error| {
        Problem::new(format!("there is no disk {}: {error}", path.display()), "name an image or a block device that is there")
    })?;
    // qemu-img would wait before a pipe until somebody writes to it.
    let kind = place.metadata().map(|metadata| metadata.file_type()).ok();
    let what = kind.and_then(|kind| match kind {
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_char_device() => Some("a character device"),
        _ => None,
    });
    if let Some(what) = what {
        return Err(Problem::new(format!("{} is {what}, and no disk", path.display()), "name an image or a block device").into());
    }
    Ok(place)
}

/// The directory in which a path lies.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// What `vgapt disk copy-in` has copied, and is not yet in the disk.
pub(super) fn pending(disk: &Path) -> PathBuf {
    PathBuf::from(format!("{}.copied-in", disk.display()))
}
