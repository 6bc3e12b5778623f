//! Checks of the host's resources: memory, huge pages, processors.

use std::collections::BTreeMap;

use crate::domain::base::Base;
use crate::domain::decide::needs::needs;
use crate::domain::edit::Part;
use crate::domain::spec::Spec;
use crate::domain_xml::{self, nodes_of_memory, pages};
use crate::model::{BootPages, Finding, Host, HugepagePool, Size, needed_by_host};
use crate::xml::Document;

/// The path of the element with the page size.
const PAGE: &str = "memoryBacking/hugepages/page";

/// vgapt's own lower limit: less is most likely a wrong unit.
const LEAST: Size = Size::from_mib(32);

/// Does the host have the memory? Checked when the memory is set, and once for a new domain.
pub(super) fn memory(base: &Base, spec: &Spec, domain: &Document, host: &Host) -> Option<Finding> {
    let template = || domain_xml::memory(base.domain.root()).filter(|_| base.is_new || spec.hugepages == Some(true));
    let asked = spec.memory.or_else(template)?;
    if spec.memory.is_some_and(|memory| memory < LEAST) {
        let message = format!("{asked} of memory is not enough for any guest system");
        return Some(Finding::blocked("too-little-memory", message, "a number without a unit is in MiB; for example --memory 8G"));
    }
    let total = host.memory.total?;
    if asked >= total {
        let message = format!("the domain needs {asked}, and the host has {} MiB in total", total.kib() >> 10);
        return Some(Finding::blocked(
            "too-little-memory",
            message,
            "use less with --memory: all memory of a guest with a passed device is allocated at the start, and the host needs some",
        ));
    }
    if spec.hugepages == Some(true) {
        let written = spec.edits.iter().find(|edit| edit.part == Part::Pages && edit.path() == Some(PAGE));
        let size = written.and_then(|edit| Some(Size::from_kib(edit.says().get("size")?.parse().ok()?)));
        let page = size.or(host.memory.default_hugepage)?;
        // Pages of another size can rarely be allocated after boot, not even by the hook.
        let is_reserved_later = host.platform.has_hook && Some(page) == host.memory.default_hugepage;
        let parts = nodes_of_memory(domain.root(), asked).unwrap_or_else(|_| [(None, asked)].into());
        return if is_reserved_later { None } else { hugepages(&parts, page, host, Finding::warning) };
    }
    never_free(asked, total, domain, host).or_else(|| in_use(asked, host))
}

/// What no closed program frees: reserved huge pages, and, where a passed device pins all of the guest's memory, what the host
/// itself needs.
fn never_free(asked: Size, total: Size, domain: &Document, host: &Host) -> Option<Finding> {
    let has_none = pages(domain.root()).is_ok_and(|pages| pages.is_none());
    let reserved = if has_none { host.memory.in_hugepages() } else { Size::default() };
    let is_pinned = domain_xml::all_functions(domain).is_ok_and(|functions| !functions.is_empty());
    let needed = if is_pinned { needed_by_host(total) } else { Size::default() };
    let most = total.bytes().saturating_sub(reserved.bytes()).saturating_sub(needed.bytes());
    let mib = |size: Size| size.bytes() >> 20;
    let parts = [
        (reserved, "are reserved as huge pages"),
        (needed, "are for the host itself, because a passed device keeps all of the guest's memory"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(size, _)| mib(*size) > 0).map(|(size, what)| format!("{} MiB {what}", mib(*size))).collect();
    (asked.bytes() > most).then(|| {
        let message =
            format!("the domain needs {asked}, and the host never has that free: of its {} MiB, {}", mib(total), parts.join(", and "));
        let fewer = if mib(reserved) > 0 { "; or use the huge pages: --hugepages; or reserve fewer of them" } else { "" };
        Finding::blocked("too-little-memory", message, format!("use at most --memory {}M{fewer}", most >> 20))
    })
}

fn in_use(asked: Size, host: &Host) -> Option<Finding> {
    let available = host.memory.available?;
    (asked > available).then(|| {
        let message = format!("the domain needs {asked}, but only {} MiB are available now", available.kib() >> 10);
        Finding::warning("memory-in-use", message, "free memory (close programs) before the domain starts")
    })
}

/// Are there enough free huge pages of this size on each node, and can libvirt use them?
fn hugepages(parts: &Parts, page: Size, host: &Host, weigh: fn(&'static str, String, String) -> Finding) -> Option<Finding> {
    let pools = &host.memory.hugepages;
    if !pools.is_empty() && !pools.iter().any(|pool| pool.page == page) {
        let there: Vec<String> = pools.iter().map(|pool| pool.page.to_string()).collect();
        let message = format!("the host has no huge pages of {page}, only of {}", there.join(" and "));
        let sizes: Vec<String> = pools.iter().map(|pool| pool.page.short()).collect();
        return Some(weigh("no-such-hugepages", message, format!("--hugepage-size {}", sizes.join(" or "))));
    }
    let too_few = too_few(parts, page, host).map(|(message, node)| {
        let is_default = Some(page) == host.memory.default_hugepage;
        let remedy = match node.filter(|_| is_default) {
            // The number for all nodes is divided among them.
            Some(node) => format!(
                "before the domain starts: echo {} > /sys/devices/system/node/node{node}/hugepages/hugepages-{}kB/nr_hugepages",
                parts
                    .get(&Some(node))
                    .map_or(0, |part| pages_in(*part, page))
                    .saturating_add(host.memory.pool_of_node(page, node).map_or(0, HugepagePool::used)),
                page.kib()
            ),
            None if is_default => format!(
                "run sysctl vm.nr_hugepages={} before the domain starts (permanently: in /etc/sysctl.d)",
                all_pages(parts, page).saturating_add(used(host, page))
            ),
            None => format!(
                "reserve them at boot: hugepagesz={}M hugepages={} on the kernel command line",
                page.bytes() >> 20,
                at_boot(parts, page, host)
            ),
        };
        weigh("too-few-hugepages", message, remedy)
    });
    // systemd mounts hugetlbfs for the host's default size only (`dev-hugepages.mount`).
    let is_mounted = Some(page) == host.memory.default_hugepage || host.memory.hugetlbfs.iter().any(|(_, size)| *size == Some(page));
    let unmounted = (!is_mounted).then(|| {
        let (message, mib) = (format!("hugetlbfs is not mounted for pages of {page}, and libvirt finds them there"), page.bytes() >> 20);
        let mount = format!("mkdir -p /dev/hugepages{mib}M && mount -t hugetlbfs -o pagesize={mib}M none /dev/hugepages{mib}M");
        weigh("no-hugetlbfs", message, format!("{mount} (permanently: in /etc/fstab), and restart libvirtd or virtqemud"))
    });
    too_few.or(unmounted)
}

/// How much of a guest's memory is from which node; without one: from any.
type Parts = BTreeMap<Option<u32>, Size>;

/// Which pages are lacking, on a node or in all. On nodes whose number is unknown they are not known to be.
fn too_few(parts: &Parts, page: Size, host: &Host) -> Option<(String, Option<u32>)> {
    let said = |needed, place: &str, free| format!("{needed} huge pages of {page} are needed{place}, but only {free} are free");
    let of_node = parts.iter().find_map(|(node, part)| {
        let (node, needed) = ((*node)?, pages_in(*part, page));
        let free = host.memory.pool_of_node(page, node)?.free;
        (free < needed).then(|| (said(needed, &format!(" on NUMA node {node}"), free), Some(node)))
    });
    let (needed, free) = (all_pages(parts, page), host.memory.pool(page).map_or(0, |pool| pool.free));
    of_node.or_else(|| (free < needed).then(|| (said(needed, "", free), None)))
}

fn all_pages(parts: &Parts, page: Size) -> u64 {
    parts.values().map(|part| pages_in(*part, page)).sum()
}

/// What programs use of the pool that one number counts.
fn used(host: &Host, page: Size) -> u64 {
    host.memory.pool(page).map_or(0, HugepagePool::used)
}

/// What `hugepages=` has to say, with what is in use: by node where the kernel can read that.
fn at_boot(parts: &Parts, page: Size, host: &Host) -> String {
    let of_guest: Option<BTreeMap<u32, u64>> = parts.iter().map(|(node, part)| Some(((*node)?, pages_in(*part, page)))).collect();
    let by_node = of_guest.filter(|_| host.platform.kernel_at_least(5, 16) == Some(true)).map(|mut nodes| {
        for (node, _) in &host.memory.nodes {
            let used = host.memory.pool_of_node(page, *node).map_or(0, HugepagePool::used);
            if used > 0 {
                let number = nodes.entry(*node).or_default();
                *number = number.saturating_add(used);
            }
        }
        BootPages::ByNode(nodes)
    });
    by_node.unwrap_or_else(|| BootPages::Split(all_pages(parts, page).saturating_add(used(host, page)))).to_string()
}

fn pages_in(memory: Size, page: Size) -> u64 {
    memory.bytes().div_ceil(page.bytes().max(1))
}

/// The limit without a guest IOMMU (QEMU docs/specs: APIC ids of 8 bits). More vCPUs need a guest IOMMU, which
/// is not compatible with delivering the card's interrupts through KVM.
const MOST_CPUS: u32 = 255;

/// Does the host have this many CPUs?
pub(super) fn processors(spec: &Spec, host: &Host) -> Option<Finding> {
    let asked = spec.cpus.map(|cpus| cpus.count)?;
    if asked > MOST_CPUS {
        let message = format!("{asked} vCPUs are more than a guest without an IOMMU of its own supports");
        return Some(Finding::blocked("too-many-cpus", message, format!("use at most --cpus {MOST_CPUS}")));
    }
    let there = u32::try_from(host.topology.online.0.len()).ok().filter(|there| *there > 0 && asked > *there)?;
    Some(Finding::warning(
        "too-many-cpus",
        format!("{asked} vCPUs are requested, but the host has only {there} CPUs"),
        format!("use at most --cpus {there}; fewer leave some CPUs for the host"),
    ))
}

/// Why a domain cannot start now: its huge pages must be free, unless libvirt's hook reserves them.
pub fn of_start(domain: &Document, host: &Host) -> Vec<Finding> {
    if host.platform.has_hook && needs(domain).known().is_some() {
        return Vec::new();
    }
    // libvirt refuses to start a domain whose huge pages cannot be read here.
    let pages = pages(domain.root()).ok().flatten();
    let short = pages.and_then(|pages| hugepages(&pages.nodes, pages.page.or(host.memory.default_hugepage)?, host, Finding::blocked));
    short.into_iter().collect()
}
