//! Memory: huge pages, how fragmented the free memory is, how much memory a user's processes may lock.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host;
use crate::model::{Observed, Size};

/// libvirt locks the guest's memory and this much more (`qemuDomainGetMemLockLimitBytes` of `qemu_domain.c`).
const BESIDE_GUEST: Size = Size::from_mib(1024);

pub(super) fn hugepages(facts: &Facts) -> Check {
    let memory = &facts.host.memory;
    let check = |seen: String| Check::ok("hugepages", Topic::Memory, "huge pages", seen);
    let is_small = |page: Size| page == memory.default_hugepage.unwrap_or(Size::from_mib(2));
    let small = memory.hugepages.iter().find(|pool| is_small(pool.page));
    let asked = asked(facts);
    if let Some((path, why)) = asked.as_ref().and_then(|(path, number)| Some((path, host::too_many(facts.host, *number)?))) {
        return check(format!("{path} sets vm.nr_hugepages: {why}"))
            .care("where it is read, it takes all of the free memory", format!("remove that line from {path}"));
    }
    if let Some((asked, pool)) = asked.map(|(_, number)| number).zip(small).filter(|(asked, pool)| pool.total < *asked) {
        let pieces = pieces(facts.observed);
        return check(format!("{asked} pages of {} are configured, but only {} exist{pieces}", pool.page, pool.total)).missing(
            NextStep::Reboot,
            "a domain that needs more huge pages than exist does not start",
            "reboot (memory is not fragmented at boot); or: echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory; sysctl --system",
        );
    }
    let pools: Vec<String> = memory
        .hugepages
        .iter()
        .filter(|pool| pool.total > 0)
        .map(|pool| format!("{} of {}, {} free", pool.total, pool.page, pool.free))
        .collect();
    if let Some(seen) = fewer_than_at_boot(facts) {
        return check(seen).care(
            "a guest takes all of its pages from the NUMA nodes of its processors, and such pages can rarely be reserved later",
            "request fewer on that node: vgapt prepare --hugepages SIZE --page-size 1G; or reboot, if the command line is new",
        );
    }
    let large = memory.hugepages.iter().any(|pool| pool.total > 0 && pool.page == Size::from_mib(1024));
    if large && !memory.hugetlbfs.iter().any(|(_, page)| *page == Some(Size::from_mib(1024))) {
        return check(pools.join("; ")).care(
            "libvirt uses pages of 1 GiB only if a hugetlbfs with that page size is mounted when it starts",
            "mount it before libvirt starts: vgapt prepare --hugepages SIZE --page-size 1G",
        );
    }
    if pools.is_empty() {
        let command = if facts.cards.is_empty() { "vgapt prepare".to_owned() } else { facts.command() };
        let reserve = format!("{command} --hugepages SIZE");
        // The second best: QEMU asks for them (`ram_block_add` of QEMU's system/physmem.c, MADV_HUGEPAGE), so madvise is enough.
        if memory.transparent.as_deref() == Some("never") {
            return check(format!("none are reserved, and the kernel forms none by itself{}", pieces(facts.observed))).care(
                "each miss of the guest's TLB walks one more level of its and of the host's page tables",
                format!(
                    "{reserve}; or: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, which counts until the host boots again"
                ),
            );
        }
        let second = match memory.transparent.as_deref() {
            Some(mode) => format!(", with those that the kernel forms by itself ({mode}), which may be fewer and be split again"),
            None => String::new(),
        };
        let seen = format!(
            "none are reserved (a guest runs without them{second}; for slightly better performance: {reserve}){}",
            pieces(facts.observed)
        );
        return check(seen).minor();
    }
    check(pools.join("; "))
}

/// How much of the free memory could become huge pages now.
fn pieces(observed: &Observed) -> String {
    let large: u64 = observed.free_blocks.iter().map(|zone| zone.large().bytes()).fold(0, u64::saturating_add);
    if observed.free_blocks.is_empty() {
        String::new()
    } else {
        format!("; {} MiB of the free memory are in contiguous pieces that large", large >> 20)
    }
}

/// Pages of 1 GiB that the command line of this boot asks for, and that do not exist, in all or on a node.
fn fewer_than_at_boot(facts: &Facts) -> Option<String> {
    let (memory, page) = (&facts.host.memory, Size::from_mib(1024));
    let asked = facts.host.platform.cmdline.as_ref()?.boot_pages(page)?;
    let said = |asked, place: &str, there| format!("{asked} pages of {page} are requested at boot{place}, but only {there} exist");
    let of_node = asked.of_nodes().find_map(|(node, asked)| {
        let there = memory.pool_of_node(page, node)?.total;
        (there < asked).then(|| said(asked, &format!(" on NUMA node {node}"), there))
    });
    let of_all = || memory.pool(page).filter(|pool| pool.total < asked.total()).map(|pool| said(asked.total(), "", pool.total));
    of_node.or_else(of_all)
}

/// The number that the configuration sets, and where.
fn asked<'a>(facts: &Facts<'a>) -> Option<(&'a str, u64)> {
    let numbers = facts.setup.files.sysctl("vm.nr_hugepages").into_iter();
    numbers.filter_map(|(path, number)| Some((path, number.parse().ok()?))).next_back()
}

pub(super) fn locked(facts: &Facts) -> Option<Check> {
    let check = |seen: String| Check::ok("memory-lock", Topic::Memory, "locked memory", seen);
    let Some(limit) = facts.observed.memory_lock else {
        return facts.session.then(|| check(String::new()).unknown("it is the limit of a process, and this is not a running system"));
    };
    if !facts.session {
        return Some(check("libvirt's system daemon raises the limit itself".into()).minor());
    }
    let seen = format!("your processes may lock {} MiB", limit.bytes() >> 20);
    let why = "all memory of a guest with an assigned device is locked, and a session libvirt may not raise the limit";
    let remedy = "use --connect qemu:///system; or let the user lock more: * - memlock unlimited, in /etc/security/limits.d";
    let largest = limit.bytes().saturating_sub(BESIDE_GUEST.bytes()) >> 20;
    Some(match facts.host.memory.total {
        _ if largest == 0 => check(seen).missing(NextStep::Software, why, remedy),
        Some(total) if limit < total => check(format!("{seen}, so a guest may have {largest} MiB at most")).care(why, remedy),
        _ => check(seen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Host, Setup};
    use crate::readiness::{CheckState, Input};

    #[test]
    fn a_session_may_lock_so_much() {
        let (mut host, setup) = (Host::default(), Setup::default());
        host.memory.total = Some(Size::from_mib(32 << 10));
        let state = |mib: u64, session: bool| {
            let observed = Observed { memory_lock: Some(Size::from_mib(mib)), ..Observed::default() };
            let input = Input { host: &host, setup: &setup, observed: &observed, cards: &[], bind: None, noted: &[], session };
            locked(&Facts::of(&input)).unwrap().state
        };
        assert_eq!([8, 9 << 10, u64::MAX >> 20].map(|mib| state(mib, true)), [CheckState::Missing, CheckState::Warning, CheckState::Ok]);
        assert_eq!(state(8, false), CheckState::Ok);
    }
}
