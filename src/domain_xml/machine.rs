//! The machine type of a domain, its memory, huge pages, NUMA cells and memory devices.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::devices::devices_named;
use super::processors::cpu_set;
use crate::model::{CellPlace, CpuSet, Size};
use crate::xml::Element;

pub fn machine(domain: Element<'_>) -> Option<String> {
    domain.at("os/type")?.attribute("machine").map(std::borrow::Cow::into_owned)
}

/// The guest system, by its id in libosinfo's database.
pub fn osinfo(domain: Element<'_>) -> Option<String> {
    const NAMESPACE: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";
    let is = |element: &Element<'_>, name: &str| element.local_name() == name && element.namespace().as_deref() == Some(NAMESPACE);
    let notes = domain.child("metadata")?.children().find(|child| is(child, "libosinfo"))?;
    notes.children().find(|child| is(child, "os"))?.attribute("id").map(std::borrow::Cow::into_owned)
}

/// Whether the machine has PCI Express: q35, or one with a pcie-root.
pub fn is_express(domain: Element<'_>) -> bool {
    machine(domain).is_some_and(|machine| machine.contains("q35") || machine.starts_with("virt"))
        || devices_named(domain, "controller").any(|controller| controller.attribute("model").as_deref() == Some("pcie-root"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    pub memory: Size,
    /// The size of a page; `None`: the host's default.
    pub page: Option<Size>,
    /// How much of the memory is from which NUMA node of the host; without one: from several, or any.
    pub nodes: BTreeMap<Option<u32>, Size>,
}

/// The memory; `None` if it is missing or cannot be read.
pub fn memory(domain: Element<'_>) -> Option<Size> {
    size_of(domain.child("memory")?)
}

/// An amount of memory as libvirt writes it: a number with a unit (default KiB).
pub fn size_of(element: Element<'_>) -> Option<Size> {
    size(element.text(), element.attribute("unit").as_deref())
}

/// The size of a `<page>`, with its `unit` attribute.
pub fn page_size(page: Element<'_>) -> Option<Size> {
    size_in(page, "size")
}

/// A size in an attribute, with its `unit` attribute.
fn size_in(element: Element<'_>, attribute: &str) -> Option<Size> {
    size(&element.attribute(attribute)?, element.attribute("unit").as_deref())
}

/// A number and its unit, as libvirt parses them (`virScaleInteger`), case-insensitively.
fn size(number: &str, unit: Option<&str>) -> Option<Size> {
    let unit = unit.filter(|unit| !unit.is_empty()).unwrap_or("KiB").to_ascii_lowercase();
    let factor = match unit.as_str() {
        "b" | "byte" | "bytes" => 1,
        unit => {
            let power = u32::try_from("kmgtpe".find(unit.chars().next()?)?).ok()? + 1;
            match &unit[1..] {
                "" | "ib" => 1024_u64.checked_pow(power)?,
                "b" => 1000_u64.checked_pow(power)?,
                _ => return None,
            }
        }
    };
    number.trim().parse::<u64>().ok()?.checked_mul(factor).map(Size::from_bytes)
}

/// The memory in huge pages, if any.
///
/// # Errors
/// If a page size or the nodes cannot be read; the message names the problem.
pub fn pages(domain: Element<'_>) -> Result<Option<Pages>, String> {
    let Some(hugepages) = domain.at("memoryBacking/hugepages") else { return Ok(None) };
    // Each guest node may have its own page size; how much memory uses which size is not counted.
    let sizes = hugepages.children_named("page").map(|page| page_size(page).ok_or("the size of its huge pages cannot be read"));
    let sizes = sizes.collect::<Result<BTreeSet<Size>, _>>()?;
    if sizes.len() > 1 {
        let sizes: Vec<String> = sizes.iter().map(Size::to_string).collect();
        return Err(format!("its memory is in huge pages of several sizes ({}), and vgapt counts those of one", sizes.join(", ")));
    }
    let memory = memory(domain).ok_or("the size of its memory cannot be read")?;
    Ok(Some(Pages { memory, page: sizes.into_iter().next(), nodes: nodes_of_memory(domain, memory)? }))
}

/// Where the memory is from: each cell's from its own nodes, else from those of all.
pub fn nodes_of_memory(domain: Element<'_>, all: Size) -> Result<BTreeMap<Option<u32>, Size>, String> {
    // Of several nodes, libvirt allocates it from any.
    let node = |nodes: Option<CpuSet>| nodes.filter(|nodes| nodes.0.len() == 1).and_then(|nodes| nodes.0.first().copied());
    let (mut parts, mut left) = (BTreeMap::new(), all.bytes());
    for place in cell_places(domain)? {
        let size = place.size.ok_or("the size of one of its NUMA cells cannot be read")?.bytes().min(left);
        let part: &mut Size = parts.entry(node(place.nodes)).or_default();
        *part = Size::from_bytes(part.bytes() + size);
        left -= size;
    }
    if left > 0 {
        // Memory devices, or all of it where there are no cells.
        let part = parts.entry(node(common_nodes(domain)?)).or_default();
        *part = Size::from_bytes(part.bytes() + left);
    }
    Ok(parts)
}

/// The guest's NUMA nodes, as the domain has them.
///
/// # Errors
/// If the CPUs or the nodes of one cannot be read; the message names the problem.
pub fn cell_places(domain: Element<'_>) -> Result<Vec<CellPlace>, String> {
    let common = common_nodes(domain)?;
    let place = |(number, cell): (usize, Element<'_>)| {
        let id = cell.attribute("id").map_or_else(|| number.to_string(), Cow::into_owned);
        let mut own = domain.child("numatune").into_iter().flat_map(|tune| tune.children_named("memnode"));
        let own = own.find(|memnode| memnode.attribute("cellid").as_deref() == Some(&id)).map(nodes).transpose()?;
        // One without CPUs is memory alone.
        let vcpus = match cell.attribute("cpus") {
            None => CpuSet::default(),
            Some(_) => cpu_set(cell, "cpus").ok_or("the CPUs of one of its NUMA cells cannot be read")?,
        };
        Ok(CellPlace { id, vcpus, size: cell_size(cell), nodes: own.unwrap_or_else(|| common.clone()) })
    };
    cells(domain).enumerate().map(place).collect()
}

/// The host's nodes that memory without nodes of its own is bound to.
fn common_nodes(domain: Element<'_>) -> Result<Option<CpuSet>, String> {
    Ok(domain.at("numatune/memory").map(nodes).transpose()?.flatten())
}

fn nodes(element: Element<'_>) -> Result<Option<CpuSet>, String> {
    let Some(_) = element.attribute("nodeset") else { return Ok(None) };
    cpu_set(element, "nodeset").map(Some).ok_or_else(|| "the NUMA nodes of its memory cannot be read".to_owned())
}

pub fn cells(domain: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    domain.at("cpu/numa").into_iter().flat_map(|numa| numa.children_named("cell"))
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    #[test]
    fn an_amount_has_the_unit_that_libvirt_reads() {
        let of = |text: &str| memory(Document::parse(&format!("<domain>{text}</domain>")).unwrap().root()).map(Size::bytes);
        let each = [("", 1 << 10), (" unit=''", 1 << 10), (" unit='MiB'", 1 << 20), (" unit='m'", 1 << 20), (" unit='MB'", 1_000_000)];
        for (unit, bytes) in each.into_iter().chain([(" unit='byte'", 1), (" unit='Bytes'", 1), (" unit='gib'", 1 << 30)]) {
            assert_eq!(of(&format!("<memory{unit}> 128 </memory>")), Some(128 * bytes), "{unit}");
        }
        for wrong in ["", "<memory>lots</memory>", "<memory unit='stones'>1</memory>", "<memory unit='EiB'>128</memory>"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
