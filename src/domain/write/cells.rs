//! The NUMA cells of a guest. If a domain has cells, libvirt uses the sum of their memory and ignores
//! `<memory>` (`virDomainDefPostParseMemory`), and refuses vCPU numbers in cells that the domain does not have.

use crate::domain_xml::{cell_size, cells, plugged, size_of, vcpus};
use crate::model::Size;
use crate::xml::Element;

/// The number and the memory of each cell for a domain with `all` memory, in proportion to the present sizes, in whole MiB.
/// Empty if there are no cells or their sizes already add up.
///
/// # Errors
/// Why the domain cannot have this amount of memory.
pub(super) fn memory(domain: Element<'_>, all: Size) -> Result<Vec<(usize, Size)>, String> {
    if let Some(most) = domain.child("maxMemory").and_then(size_of)
        && all > most
    {
        return Err(format!("its <maxMemory> is {most}"));
    }
    let plugged = plugged(domain)?;
    let own = all.bytes().checked_sub(plugged).filter(|own| *own > 0);
    let own = own.ok_or_else(|| format!("its memory devices alone provide {}", Size::from_bytes(plugged)))?;
    let cells: Vec<Element<'_>> = cells(domain).collect();
    let sizes: Option<Vec<u64>> = cells.iter().map(|cell| cell_size(*cell).map(Size::bytes)).collect();
    let sizes = sizes.ok_or("the size of one of its NUMA cells cannot be read")?;
    let sum: u64 = sizes.iter().copied().fold(0, u64::saturating_add);
    if cells.is_empty() || sum == own {
        return Ok(Vec::new());
    }
    let mut parts: Vec<u64> = sizes.iter().map(|size| part(*size, own, sum)).collect();
    let rest = own - parts.iter().sum::<u64>();
    if let Some(last) = parts.iter_mut().rev().find(|part| **part > 0) {
        *last += rest;
    }
    if parts.iter().zip(&sizes).any(|(part, size)| *part == 0 && *size > 0) || parts.iter().all(|part| *part == 0) {
        return Err(format!("it has {} NUMA cells, and each needs memory", cells.len()));
    }
    Ok(parts.into_iter().map(Size::from_bytes).enumerate().collect())
}

/// A cell's share of the memory, rounded down to whole MiB.
fn part(size: u64, all: u64, sum: u64) -> u64 {
    const MIB: u128 = 1 << 20;
    let exact = u128::from(size) * u128::from(all) / u128::from(sum.max(1));
    u64::try_from(exact / MIB * MIB).unwrap_or_default()
}

/// The number and the vCPUs of each cell for a domain with `count` vCPUs: one range for each cell, as even as possible.
/// Empty if there are no cells or the number of vCPUs does not change.
///
/// # Errors
/// If there are fewer vCPUs than cells.
pub(super) fn cpus(domain: Element<'_>, count: u32) -> Result<Vec<(usize, String)>, String> {
    let with_cpus: Vec<usize> =
        cells(domain).enumerate().filter(|(_, cell)| cell.attribute("cpus").is_some()).map(|(number, _)| number).collect();
    let there = vcpus(domain).unwrap_or(1);
    if with_cpus.is_empty() || there == count {
        return Ok(Vec::new());
    }
    let cells = u32::try_from(with_cpus.len()).unwrap_or(u32::MAX);
    if count < cells {
        return Err(format!("it has {cells} NUMA cells with vCPUs, and each needs at least one"));
    }
    let mut next = 0;
    let runs = with_cpus.into_iter().zip(0..cells).map(|(number, index)| {
        let first = next;
        next = first + count / cells + u32::from(index < count % cells);
        (number, if next - first == 1 { first.to_string() } else { format!("{first}-{}", next - 1) })
    });
    Ok(runs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::edit::Written;
    use crate::domain::spec::Processors;
    use crate::domain::write::{apply::Draft, basics};
    use crate::topology::GuestTopology;
    use crate::xml::Document;

    fn draft(more: &str) -> Draft {
        let cells = "<cell id='0' cpus='0-2' memory='1' unit='GiB'/><cell id='1' cpus='3' memory='3145728'/>";
        let text = format!("<domain><vcpu>4</vcpu><memory unit='GiB'>4</memory><cpu><numa>{cells}</numa></cpu>{more}</domain>");
        Draft::of(Document::parse(&text).unwrap(), Written::default())
    }

    #[test]
    fn the_cells_keep_their_proportion_and_add_up() {
        let sizes = |all: &str, more: &str| {
            let mut draft = draft(more);
            let all: Size = all.parse().unwrap();
            basics::memory(&mut draft, all)?;
            let once = draft.domain.to_string();
            basics::memory(&mut draft, all)?;
            assert_eq!(draft.domain.to_string(), once, "a second time changes nothing");
            Ok::<_, String>(cells(draft.root()).map(|cell| cell_size(cell).unwrap().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(sizes("6G", "").unwrap(), ["1536 MiB", "4608 MiB"]);
        assert_eq!(sizes("4G", "").unwrap(), ["1 GiB", "3 GiB"]);
        assert_eq!(sizes("1001M", "").unwrap(), ["250 MiB", "751 MiB"]);
        let dimm = "<maxMemory slots='4' unit='GiB'>8</maxMemory><devices><memory model='dimm'><target><size unit='GiB'>2</size></target></memory></devices>";
        assert_eq!(sizes("6G", dimm).unwrap(), ["1 GiB", "3 GiB"], "libvirt includes the DIMM");
        assert!(sizes("9G", dimm).unwrap_err().contains("<maxMemory> is 8 GiB"));
        assert!(sizes("2G", dimm).unwrap_err().contains("memory devices alone provide 2 GiB"));
        assert!(sizes("3M", "").unwrap_err().contains("2 NUMA cells"));
    }

    #[test]
    fn the_cells_share_the_processors() {
        let shares = |count: u32| {
            let mut draft = draft("");
            basics::cpus(&mut draft, Processors { count, guest: GuestTopology::flat(count) })?;
            Ok::<_, String>(cells(draft.root()).map(|cell| cell.attribute("cpus").unwrap().into_owned()).collect::<Vec<_>>())
        };
        assert_eq!(shares(4).unwrap(), ["0-2", "3"], "what fits stays");
        assert_eq!((shares(7).unwrap(), shares(2).unwrap()), (vec!["0-3".to_owned(), "4-6".into()], vec!["0".to_owned(), "1".into()]));
        assert!(shares(1).is_err());
    }
}
