//! How much a host can spare for huge pages, and on which NUMA nodes the kernel reserves them at boot: on that of the card, from
//! which a guest takes its own. Without nodes the kernel divides them equally (Documentation/admin-guide/mm/hugetlbpage.rst).

use std::collections::{BTreeMap, BTreeSet};

use super::bound;
use crate::host::request::Wanted;
use crate::host::text::tokens::is_enough;
use crate::model::{BootPages, Finding, Host, HugepagePool, PciAddress, Setup, Size, most_for_guests};

/// So many pages of this size for the guest and for others, on nodes where that can be said; else with a warning, unless the running
/// kernel's command line has enough on nodes that somebody chose.
pub(super) fn placed(host: &Host, setup: &Setup, wanted: &Wanted, [guests, others]: [u64; 2], page: Size) -> (BootPages, Option<Finding>) {
    let number = number_of_nodes(host);
    let count = guests.saturating_add(others);
    if number < 2 {
        return (BootPages::Split(count), None);
    }
    match by_node(host, setup, wanted, guests, page) {
        Ok(pages) => (BootPages::ByNode(beside(host, pages, others, page)), None),
        Err((why, remedy)) => {
            let there = host.platform.cmdline.as_ref().and_then(|line| line.boot_pages(page));
            let split = BootPages::Split(count);
            let is_chosen = there.is_some_and(|there| there != split && is_enough(&there, &split));
            let each = count / number as u64;
            let message = format!(
                "the kernel divides the {count} pages of {page} among the {number} NUMA nodes, about {each} on each, and a guest takes all of its pages from the nodes of its processors: {why}"
            );
            (split, (!is_chosen).then(|| Finding::warning("hugepages-split", message, remedy)))
        }
    }
}

/// Of the nodes that have memory; where that is unknown, of those that have processors.
fn number_of_nodes(host: &Host) -> usize {
    if host.memory.nodes.is_empty() {
        let nodes: BTreeSet<u32> = host.topology.cpus.iter().filter_map(|cpu| cpu.node).collect();
        return nodes.len();
    }
    host.memory.nodes.iter().filter(|(_, size)| *size > Size::default()).count()
}

/// The first node is that of the card; what it does not have is on the nearest others, where `define` puts that part of a guest
/// too.
///
/// # Errors
/// Why it cannot be said, and the remedy.
fn by_node(host: &Host, setup: &Setup, wanted: &Wanted, count: u64, page: Size) -> Result<BTreeMap<u32, u64>, (String, String)> {
    if let Some(kernel) = older_kernel(host, setup) {
        return Err((format!("{kernel}, and only Linux 5.16 and later take numbers by node"), small_pages()));
    }
    if host.memory.nodes.is_empty() {
        return Err(("how much memory each of them has is not known".to_owned(), small_pages()));
    }
    let functions = guests(setup, wanted);
    if functions.is_empty() {
        return Err(("no card is named or bound, so its node is not known".to_owned(), "name it: --gpu ADDRESS".to_owned()));
    }
    let known = host.best_node(&functions).filter(|node| host.memory.nodes.iter().any(|(known, _)| known == node));
    let Some(first) = known else { return Err(("the NUMA node of the card is not known".to_owned(), small_pages())) };
    // The kernel refuses a number that is not below the number of its nodes (`hugepages_setup`).
    if host.memory.nodes.iter().any(|(node, _)| usize::try_from(*node).is_ok_and(|node| node >= host.memory.nodes.len())) {
        return Err(("the nodes are not numbered without gaps, which the kernel expects".to_owned(), small_pages()));
    }
    let mut left = count;
    let mut pages = BTreeMap::new();
    for node in std::iter::once(first).chain(host.nodes_beside(&BTreeSet::from([first]))) {
        let part = left.min(most_on(host, node, page));
        left -= part;
        if part > 0 {
            pages.insert(node, part);
        }
    }
    if left > 0 {
        Err(("the nodes together cannot spare that many".to_owned(), "request less with --hugepages".to_owned()))
    } else {
        Ok(pages)
    }
}

/// The guest's pages, and beside them those that others use, on the nodes where these are.
fn beside(host: &Host, mut pages: BTreeMap<u32, u64>, others: u64, page: Size) -> BTreeMap<u32, u64> {
    let mut left = others;
    for (node, _) in &host.memory.nodes {
        let used = host.memory.pool_of_node(page, *node).map_or(0, HugepagePool::used).min(left);
        left -= used;
        if used > 0 {
            let number = pages.entry(*node).or_default();
            *number = number.saturating_add(used);
        }
    }
    pages
}

fn small_pages() -> String {
    "use pages of 2 MiB, without --page-size: the hook reserves them on the guest's nodes".to_owned()
}

/// What a guest gets: what is named, else what is set up for one.
fn guests(setup: &Setup, wanted: &Wanted) -> Vec<PciAddress> {
    if wanted.functions.is_empty() { bound::bound(setup).iter().map(|bound| bound.address).collect() } else { wanted.functions.clone() }
}

/// By the same rule as for the whole host.
fn most_on(host: &Host, node: u32, page: Size) -> u64 {
    let of_node = host.memory.nodes.iter().find(|(known, _)| *known == node);
    of_node.map_or(0, |(_, size)| most_for_guests(*size).bytes() / page.bytes().max(1))
}

/// A kernel that may boot, and reads a node's number as the number of pages; also where its version is unknown.
fn older_kernel(host: &Host, setup: &Setup) -> Option<String> {
    match host.platform.kernel_at_least(5, 16) {
        None => return Some("the version of the running kernel is not known".to_owned()),
        Some(false) => return Some(format!("this is Linux {}", host.platform.kernel.as_deref().unwrap_or_default())),
        Some(true) => {}
    }
    let older = setup.kernels.iter().find(|kernel| kernel.at_least(5, 16) == Some(false))?;
    Some(format!("Linux {} is installed too", older.release))
}
