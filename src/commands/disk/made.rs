//! New disk images: their format, the space that they need, and their verification.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::disk_context::{DiskContext, reason, refused};
use crate::disk::{Image, Staged, argv, parse_measure};
use crate::model::{Size, format_by_name};
use crate::problem::Problem;

/// The format of a new disk: the requested one, else by its file name, else qcow2.
pub(super) fn new_format<'f>(target: &Path, asked: Option<&'f str>) -> &'f str {
    asked.or_else(|| format_by_name(target)).unwrap_or("qcow2")
}

/// A new disk, not yet under its final name.
pub(super) fn staged(target: &Path, format: &str) -> Result<Staged> {
    // A VMDK contains its own file name.
    if format == "vmdk" { Staged::beside(target) } else { Staged::new(target) }
}

/// The space that a copy needs.
pub(super) fn needed(disk_context: &DiskContext<'_>, disk: &Image, to: &str) -> Result<Size> {
    let said = disk_context.ask_long(&argv::measure(Path::new(&disk.path), &disk.format, to))?;
    if let Some(measure) = parse_measure(&said.stdout).filter(|_| said.success()) {
        return Ok(Size::from_bytes(measure.required));
    }
    // Not every format can be measured; a copy has at most the virtual size, plus some tables.
    if !said.success() && !said.stderr.contains("does not support") {
        return Err(refused("the copy's size cannot be determined", &said));
    }
    Ok(disk.virtual_size)
}

/// Keeps a qcow2 image that a tool made only if qemu-img finds no errors in it and it has the disk's size, whatever
/// the tool's exit code is.
pub(super) fn check_new_image(disk_context: &DiskContext<'_>, made: &Path, size: Size, words: &str) -> Result<()> {
    let complaint = if words.is_empty() { String::new() } else { format!(" (the tool printed: {words})") };
    let image = disk_context.image(made, "qcow2").with_context(|| format!("the new image cannot be read and was discarded{complaint}"))?;
    let checked = disk_context.ask_long(&argv::check(made, "qcow2"))?;
    if image.virtual_size == size && checked.success() && !image.corrupt {
        return Ok(());
    }
    let what = if image.virtual_size == size { reason(&checked) } else { format!("its size is {} instead of {size}", image.virtual_size) };
    Err(Problem::new(format!("the new image is corrupt and was discarded: {what}{complaint}"), "check the disk for errors: qemu-img check")
        .into())
}
