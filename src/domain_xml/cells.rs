//! The NUMA cells of a guest, and the memory that is plugged in beside theirs.

use super::devices::devices_named;
use super::memory::{size_in, size_of};
use crate::model::Size;
use crate::xml::Element;

/// The cells.
pub fn cells(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.at("cpu/numa").into_iter().flat_map(|numa| numa.children_named("cell"))
}

/// The memory of a cell.
pub fn cell_size(cell: Element<'_>) -> Option<Size> {
    size_in(cell, "memory")
}

/// What memory devices bring, in bytes: libvirt counts them into the domain's memory.
///
/// # Errors
/// Where the size of one cannot be read, in words.
pub fn plugged(domain: Element<'_>) -> Result<u64, String> {
    let sizes: Option<Vec<Size>> = devices_named(domain, "memory").map(|device| size_of(device.at("target/size")?)).collect();
    let sizes = sizes.ok_or("the size of one of its memory devices cannot be read")?;
    Ok(sizes.iter().map(|size| size.bytes()).fold(0, u64::saturating_add))
}
