//! What speaks against a domain's share of the host: memory, huge pages, processors.

use crate::domain::settings::size_of;
use crate::domain::{Base, Spec};
use crate::model::{Finding, Host, Size};
use crate::xml::Document;

/// Is the memory there? Asked where it is set, and once for a new domain.
pub(super) fn memory(base: &Base, spec: &Spec, host: &Host) -> Option<Finding> {
    let template = || size_of(base.domain.root().child("memory")?).filter(|_| base.is_new || spec.hugepages == Some(true));
    let asked = spec.memory.or_else(template)?;
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
        return hugepages(asked, host, Finding::warning);
    }
    let available = host.memory.available?;
    (asked > available).then(|| {
        let message = format!("{asked} are asked for, and {} MiB are available now", available.kib() >> 10);
        Finding::warning("memory-in-use", message, "close what uses it before the domain starts")
    })
}

/// Are there enough free huge pages of the default size?
fn hugepages(asked: Size, host: &Host, weigh: fn(&'static str, String, String) -> Finding) -> Option<Finding> {
    let page = host.memory.default_hugepage?;
    let free = host.memory.hugepages.iter().find(|pool| pool.page == page).map_or(0, |pool| pool.free);
    let needed = asked.bytes().div_ceil(page.bytes().max(1));
    (free < needed).then(|| {
        let message = format!("{needed} huge pages of {page} are needed, and {free} are free");
        weigh(
            "too-few-hugepages",
            message,
            format!("sysctl vm.nr_hugepages={needed} (in /etc/sysctl.d to keep it) before the domain starts"),
        )
    })
}

/// Are there as many processors?
pub(super) fn processors(spec: &Spec, host: &Host) -> Option<Finding> {
    let there = u32::try_from(host.topology.online.0.len()).ok().filter(|there| *there > 0)?;
    let asked = spec.cpus.map(|cpus| cpus.count).filter(|asked| *asked > there)?;
    Some(Finding::warning(
        "too-many-cpus",
        format!("{asked} processors are asked for, and the host has {there}"),
        format!("--cpus {there} at most, and fewer to leave the host some"),
    ))
}

/// What speaks against a start: the memory must be there now.
pub fn of_start(domain: &Document, host: &Host) -> Vec<Finding> {
    let root = domain.root();
    let asked = root.child("memory").and_then(size_of);
    let pages = root.at("memoryBacking/hugepages").filter(|pages| pages.child("page").is_none());
    let short = asked.filter(|_| pages.is_some()).and_then(|asked| hugepages(asked, host, Finding::blocker));
    short.into_iter().collect()
}
