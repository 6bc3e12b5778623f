//! Huge pages that were not reserved beforehand: the number is read back, and memory is compacted where it is too small.
//!
//! All domains share the kernel's counter, so what each has added is counted together with what the others have,
//! under the lock of [`taken::turn`].

use anyhow::{Context as _, Error, Result, bail};

use super::taken::{self, Ledger, Taken};

use crate::model::{Size, most_for_guests};
use crate::root::Root;
use crate::target::Target;

/// Huge pages that a domain needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagesWanted {
    /// How much memory.
    pub memory: Size,
    /// All memory of the guest in huge pages, on all nodes.
    pub guest: Size,
    /// The size of a page.
    pub page: Size,
    /// The node that they come from; `None`: any.
    pub node: Option<u32>,
    /// All memory of the host; `None` where it could not be read.
    pub total: Option<Size>,
}

/// How often it is tried: after the first time the kernel frees and compacts a little more each time, which takes seconds on a large
/// host.
const TRIES: u32 = 5;
const POOLS: &str = "/sys/kernel/mm/hugepages";

pub(super) fn take(wanted: &PagesWanted, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let pool = format!("hugepages-{}kB", wanted.page.kib());
    let home = match wanted.node {
        Some(node) => format!("/sys/devices/system/node/node{node}/hugepages/{pool}"),
        None => format!("{POOLS}/{pool}"),
    };
    let attribute = format!("{home}/nr_hugepages");
    let _turn = taken::turn(target)?;
    let taken_by_others = ledger.of_others()?;
    let others = Others::of(&taken_by_others, &attribute, &pool);
    let (Some(now), Some(free)) = (number(root, &attribute)?, number(root, &format!("{home}/free_hugepages"))?) else {
        bail!("this kernel has no huge pages of {}", wanted.page);
    };
    // Reserved pages that are not touched yet count as free, but are not; likewise those of a domain that is starting.
    let all = format!("{POOLS}/{pool}");
    let reserved = number(root, &format!("{all}/resv_hugepages"))?.unwrap_or(0);
    let free = match wanted.node {
        None => free.saturating_sub(reserved).saturating_sub(others.promised),
        // The kernel counts reserved pages only for all nodes together, and all of them may come from this node. So no more
        // pages are free on this node than on all nodes together.
        Some(_) => {
            // Those that this domain takes from other nodes are not touched yet either.
            let taken_by_all: Vec<Taken> = taken_by_others.iter().cloned().chain(ledger.all()?).collect();
            let of_all = Others::of(&taken_by_all, &format!("{all}/nr_hugepages"), &pool);
            let left = number(root, &format!("{all}/free_hugepages"))?.unwrap_or(free);
            free.saturating_sub(others.promised).min(left.saturating_sub(reserved).saturating_sub(of_all.promised))
        }
    };
    let needed = wanted.memory.bytes().div_ceil(wanted.page.bytes().max(1));
    let added = needed.saturating_sub(free);
    if added > 0 {
        spare(wanted, added, root)?;
    }
    let before = now.saturating_sub(others.added);
    let taken = |added| Taken::Pages { attribute: attribute.clone(), before, added, promised: needed };
    ledger.note(taken(added))?;
    if added == 0 {
        return Ok(());
    }
    let then = now + added;
    for tried in 0..TRIES {
        if tried > 0 {
            // Best effort: without permission for it, the kernel still compacts memory itself, but less.
            let _ = target.set_attribute("/proc/sys/vm/compact_memory", "1");
        }
        target.set_attribute(&attribute, &then.to_string())?;
        if number(root, &attribute)?.unwrap_or(0) >= then {
            return Ok(());
        }
    }
    let had = number(root, &attribute)?.unwrap_or(0).saturating_sub(now);
    // No more is returned than was added.
    ledger.correct(taken(had.min(added)))?;
    bail!(
        "{added} huge pages of {} are missing, and the host could provide only {had}: memory is in use or fragmented; {}",
        wanted.page,
        remedy(wanted)
    )
}

/// All of the guest's: prepare sets how many there are on all nodes.
fn remedy(wanted: &PagesWanted) -> String {
    let of_size = if wanted.page == Size::from_mib(1024) { " --page-size 1G" } else { "" };
    format!("reserve them at boot: vgapt prepare --hugepages {}{of_size}", wanted.guest.short())
}

/// Removes as many pages as were added, but never those of other domains.
pub(super) fn give_back(taken: &Taken, ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    let Taken::Pages { attribute, before, added, .. } = taken else { return Ok(()) };
    let pool = attribute.rsplit('/').nth(1).unwrap_or_default();
    let others = Others::of(&ledger.of_others()?, attribute, pool);
    let Some(now) = number(root, attribute)? else { return Ok(()) };
    let then = now.saturating_sub(*added).max(before.saturating_add(others.added));
    if then < now { target.set_attribute(attribute, &then.to_string()) } else { Ok(()) }
}

/// What other domains have of the same pages.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    added: u64,
    promised: u64,
}

impl Others {
    /// The pages of a node are among those of all nodes.
    fn of(taken: &[Taken], attribute: &str, pool: &str) -> Self {
        let mut others = Self::default();
        let is_of_all = attribute.starts_with(POOLS);
        for other in taken {
            let Taken::Pages { attribute: other, added, promised, .. } = other else { continue };
            if other == attribute || (is_of_all && other.ends_with(&format!("/{pool}/nr_hugepages"))) {
                others.added = others.added.saturating_add(*added);
                others.promised = others.promised.saturating_add(*promised);
            }
        }
        others
    }
}

/// Whether the host can spare this many more: by the same rule as for those that are reserved at boot.
fn spare(wanted: &PagesWanted, added: u64, root: &Root) -> Result<()> {
    let total = wanted.total.context("the host's memory size cannot be read, so it is unknown how much it can spare")?;
    let mut reserved = 0_u64;
    for pool in root.entries(POOLS).into_result().map_err(Error::msg)?.unwrap_or_default() {
        let kib = pool.strip_prefix("hugepages-").and_then(|rest| rest.strip_suffix("kB")?.parse::<u64>().ok());
        let pages = number(root, &format!("{POOLS}/{pool}/nr_hugepages"))?;
        reserved = reserved.saturating_add(kib.unwrap_or(0).saturating_mul(pages.unwrap_or(0)).saturating_mul(1 << 10));
    }
    let most = most_for_guests(total);
    let then = added.saturating_mul(wanted.page.bytes()).saturating_add(reserved);
    if then > most.bytes() {
        bail!(
            "the domain requests {0} in huge pages, so that {1} MiB would be reserved in total, but the host can spare only {3} MiB of its {2} MiB; give the domain less memory",
            wanted.memory,
            then >> 20,
            total.kib() >> 10,
            most.kib() >> 10
        );
    }
    Ok(())
}

/// A counter of the kernel's; `None` where it has none.
fn number(root: &Root, path: &str) -> Result<Option<u64>> {
    let text = root.reading(path).into_result().map_err(Error::msg)?;
    text.map(|text| text.trim().parse().with_context(|| format!("{path} does not contain a number"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_reserves_all_of_the_guest() {
        let of = |page: u64, guest: u64| {
            let size = |mib| Size::from_mib(mib);
            remedy(&PagesWanted { memory: size(guest / 2), guest: size(guest), page: size(page), node: Some(1), total: None })
        };
        assert_eq!(of(1024, 96 << 10), "reserve them at boot: vgapt prepare --hugepages 96G --page-size 1G");
        assert_eq!(of(2, 1536), "reserve them at boot: vgapt prepare --hugepages 1536M");
    }
}
