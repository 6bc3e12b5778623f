//! The NUMA cells of a guest, and its memory devices.

use super::devices::devices_named;
use super::memory::{size_in, size_of};
use crate::model::Size;
use crate::xml::Element;

/// The `<cell>` elements.
pub fn cells(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.at("cpu/numa").into_iter().flat_map(|numa| numa.children_named("cell"))
}

/// The memory of a cell.
pub fn cell_size(cell: Element<'_>) -> Option<Size> {
    size_in(cell, "memory")
}

/// The size of all memory devices in bytes; libvirt includes it in the domain's memory.
///
/// # Errors
/// If the size of a device cannot be read; the message names the problem.
pub fn plugged(domain: Element<'_>) -> Result<u64, String> {
    let sizes: Option<Vec<Size>> = devices_named(domain, "memory").map(|device| size_of(device.at("target/size")?)).collect();
    let sizes = sizes.ok_or("the size of one of its memory devices cannot be read")?;
    Ok(sizes.iter().map(|size| size.bytes()).fold(0, u64::saturating_add))
}
