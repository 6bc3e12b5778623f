//! A disk image that is made: its format, the room that it takes, and whether it may be kept.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::desk::{Desk, reason, refused};
use crate::disk::{Image, Staged, argv, parse_measure};
use crate::model::{Size, format_by_name};
use crate::problem::Problem;

/// The format of a new disk: what is asked for, what its name speaks for, or qcow2.
pub(super) fn new_format<'f>(target: &Path, asked: Option<&'f str>) -> &'f str {
    asked.or_else(|| format_by_name(target)).unwrap_or("qcow2")
}

/// A new disk on its way.
pub(super) fn staged(target: &Path, format: &str) -> Result<Staged> {
    // A VMDK has its own name in it.
    if format == "vmdk" { Staged::beside(target) } else { Staged::new(target) }
}

/// The room that a copy takes.
pub(super) fn needed(desk: &Desk<'_>, disk: &Image, to: &str) -> Result<Size> {
    let said = desk.ask_long(&argv::measure(Path::new(&disk.path), &disk.format, to))?;
    if let Some(measure) = parse_measure(&said.stdout).filter(|_| said.success()) {
        return Ok(Size::from_bytes(measure.required));
    }
    // Not every format can be measured; a copy is at most what the guest sees, and some tables.
    if !said.success() && !said.stderr.contains("does not support") {
        return Err(refused("the copy's size cannot be told", &said));
    }
    Ok(disk.virtual_size)
}

/// A qcow2 image that a tool made is kept only where qemu-img finds it sound and of the disk's size,
/// whatever the tool's exit code says.
pub(super) fn sound(desk: &Desk<'_>, made: &Path, size: Size, words: &str) -> Result<()> {
    let complaint = if words.is_empty() { String::new() } else { format!(" (the tool complained: {words})") };
    let image = desk.image(made, "qcow2").with_context(|| format!("what was made cannot be read, and is not kept{complaint}"))?;
    let checked = desk.ask_long(&argv::check(made, "qcow2"))?;
    if image.virtual_size == size && checked.success() && !image.corrupt {
        return Ok(());
    }
    let what = if image.virtual_size == size { reason(&checked) } else { format!("it has {} instead of {size}", image.virtual_size) };
    Err(Problem::new(
        format!("what was made is broken, and is not kept: {what}{complaint}"),
        "see whether the disk is sound: qemu-img check",
    )
    .into())
}
