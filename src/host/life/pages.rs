//! Huge pages that were not reserved beforehand: memory is put together first, and the number is read back.

use anyhow::{Result, bail};

use super::taken::{Ledger, Taken};
use crate::host::files;
use crate::host::target::Target;
use crate::model::Size;
use crate::root::Root;

/// Huge pages that a domain needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagesWanted {
    /// How much memory.
    pub memory: Size,
    /// The size of a page.
    pub page: Size,
    /// The node that they come from; `None`: any.
    pub node: Option<u32>,
}

/// How often it is tried: each time, the kernel frees and moves a little more.
const TRIES: u32 = 4;

pub(super) fn take(wanted: &PagesWanted, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let pool = format!("hugepages-{}kB", wanted.page.kib());
    let home = match wanted.node {
        Some(node) => format!("/sys/devices/system/node/node{node}/hugepages/{pool}"),
        None => format!("/sys/kernel/mm/hugepages/{pool}"),
    };
    let number = |name: &str| root.attribute(&format!("{home}/{name}")).and_then(|text| text.parse::<u64>().ok());
    let (Some(before), Some(free)) = (number("nr_hugepages"), number("free_hugepages")) else {
        bail!("this kernel has no huge pages of {}", wanted.page);
    };
    // Pages that others have reserved and not touched yet count as free, and are not.
    let free = free.saturating_sub(number("resv_hugepages").unwrap_or(0));
    let needed = wanted.memory.bytes().div_ceil(wanted.page.bytes().max(1));
    let added = needed.saturating_sub(free);
    if added == 0 {
        return Ok(());
    }
    let attribute = format!("{home}/nr_hugepages");
    ledger.note(Taken::Pages { attribute: attribute.clone(), before, added })?;
    for _ in 0..TRIES {
        // Best effort: without the right to it, the kernel does it by itself, only less.
        let _ = files::set_attribute(&target.at("/proc/sys/vm/compact_memory"), "1");
        files::set_attribute(&target.at(&attribute), &(before + added).to_string())?;
        if number("nr_hugepages").unwrap_or(0) >= before + added {
            return Ok(());
        }
    }
    let had = number("nr_hugepages").unwrap_or(0).saturating_sub(before);
    bail!(
        "{added} huge pages of {} are missing, and the host could make {had}: memory is in use or in pieces; reserve them at boot: vgapt prepare --hugepages {}",
        wanted.page,
        wanted.memory
    )
}

/// As many go as came, and never more than there are.
pub(super) fn give_back(taken: &Taken, root: &Root, target: &Target) -> Result<()> {
    let Taken::Pages { attribute, before, added } = taken else { return Ok(()) };
    let now = root.attribute(attribute).and_then(|text| text.parse::<u64>().ok()).unwrap_or(*before);
    let then = now.saturating_sub(*added).max(*before);
    if then < now { files::set_attribute(&target.at(attribute), &then.to_string()) } else { Ok(()) }
}
