//! What speaks against a domain's share of the host: memory, huge pages, processors.

use crate::domain::base::Base;
use crate::domain::decide::needs::needs;
use crate::domain::spec::Spec;
use crate::domain_xml::{self, pages};
use crate::model::{Finding, Host, Size};
use crate::xml::Document;

/// Where the size of the pages stands.
const PAGE: &str = "memoryBacking/hugepages/page";

/// Ours: less is a slip of the unit.
const LEAST: Size = Size::from_mib(32);

/// Is the memory there? Asked where it is set, and once for a new domain.
pub(super) fn memory(base: &Base, spec: &Spec, host: &Host) -> Option<Finding> {
    let template = || domain_xml::memory(base.domain.root()).filter(|_| base.is_new || spec.hugepages == Some(true));
    let asked = spec.memory.or_else(template)?;
    if spec.memory.is_some_and(|memory| memory < LEAST) {
        let message = format!("the domain is to have {asked}, in which no system starts");
        return Some(Finding::blocker("too-little-memory", message, "a number without a unit is MiB: --memory 8G"));
    }
    let total = host.memory.total?;
    if asked >= total {
        let message = format!("the domain is to have {asked}, and the host has {} MiB in all", total.kib() >> 10);
        return Some(Finding::blocker(
            "too-little-memory",
            message,
            "ask for less with --memory: a guest with a passed device has all its memory at once, and the host needs some",
        ));
    }
    if spec.hugepages == Some(true) {
        let written = spec.changes.iter().flat_map(|change| &change.put).find(|setting| setting.path == PAGE);
        let size = written.and_then(|setting| Some(Size::from_kib(setting.says.get("size")?.parse().ok()?)));
        let page = size.or(host.memory.default_hugepage)?;
        // Pages of another size can hardly be had after the boot, whoever asks.
        let is_reserved_later = host.platform.has_hook && Some(page) == host.memory.default_hugepage;
        return if is_reserved_later { None } else { hugepages(asked, page, host, Finding::warning) };
    }
    let available = host.memory.available?;
    (asked > available).then(|| {
        let message = format!("{asked} are asked for, and {} MiB are available now", available.kib() >> 10);
        Finding::warning("memory-in-use", message, "close what uses it before the domain starts")
    })
}

/// Are there enough free huge pages of this size?
fn hugepages(asked: Size, page: Size, host: &Host, weigh: fn(&'static str, String, String) -> Finding) -> Option<Finding> {
    let pools = &host.memory.hugepages;
    if !pools.is_empty() && !pools.iter().any(|pool| pool.page == page) {
        let there: Vec<String> = pools.iter().map(|pool| pool.page.to_string()).collect();
        let message = format!("the host has no huge pages of {page}, but of {}", there.join(" and "));
        return Some(weigh("no-such-hugepages", message, format!("--hugepage-size {}", there.join(" or "))));
    }
    let free = host.memory.hugepages.iter().find(|pool| pool.page == page).map_or(0, |pool| pool.free);
    let needed = asked.bytes().div_ceil(page.bytes().max(1));
    (free < needed).then(|| {
        let message = format!("{needed} huge pages of {page} are needed, and {free} are free");
        weigh(
            "too-few-hugepages",
            message,
            if Some(page) == host.memory.default_hugepage {
                format!("sysctl vm.nr_hugepages={needed} (in /etc/sysctl.d to keep it) before the domain starts")
            } else {
                format!("reserve them at boot: hugepagesz={}M hugepages={needed} on the kernel's command line", page.bytes() >> 20)
            },
        )
    })
}

/// What an interrupt controller without an IOMMU of the guest's can tell apart (QEMU docs/specs: APIC
/// ids of 8 bits); beyond that a guest needs one, which does not go together with the card's
/// interrupts through KVM.
const MOST_CPUS: u32 = 255;

/// Are there as many processors?
pub(super) fn processors(spec: &Spec, host: &Host) -> Option<Finding> {
    let asked = spec.cpus.map(|cpus| cpus.count)?;
    if asked > MOST_CPUS {
        let message = format!("{asked} processors are more than a guest without an IOMMU of its own can have");
        return Some(Finding::blocker("too-many-cpus", message, format!("--cpus {MOST_CPUS} at most")));
    }
    let there = u32::try_from(host.topology.online.0.len()).ok().filter(|there| *there > 0 && asked > *there)?;
    Some(Finding::warning(
        "too-many-cpus",
        format!("{asked} processors are asked for, and the host has {there}"),
        format!("--cpus {there} at most, and fewer to leave the host some"),
    ))
}

/// What speaks against a start: the memory must be there now, unless libvirt's hook is to reserve it.
pub fn of_start(domain: &Document, host: &Host) -> Vec<Finding> {
    if host.platform.has_hook && needs(domain).known().is_some() {
        return Vec::new();
    }
    // libvirt does not start what cannot be read here.
    let pages = pages(domain.root()).ok().flatten();
    let short = pages.and_then(|pages| hugepages(pages.memory, pages.page.or(host.memory.default_hugepage)?, host, Finding::blocker));
    short.into_iter().collect()
}
