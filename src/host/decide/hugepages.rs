//! Huge pages for a guest's memory: as many as needed, and never more than the host can spare.

use super::parameters::Needed;
use super::{boot_pages, loaders, others};
use crate::host::plan::{Command, Edits};
use crate::host::request::{Hugepages, PageSize, Wanted};
use crate::host::text::shell;
use crate::host::text::tokens::ParameterChange;
use crate::model::{Cmdline, Finding, Host, HugepagePool, Setup, Size, WrittenLine, kept_by_host, most_for_guests};

const SYSCTL: &str = "/etc/sysctl.d/60-vgapt-hugepages.conf";
const FSTAB: &str = "/etc/fstab";
/// Where pages of 1 GiB are mounted; libvirt looks for mounts of each size when it starts.
const MOUNT_1G: &str = "/dev/hugepages1G";

impl PageSize {
    pub(super) fn size(self) -> Size {
        match self {
            Self::Mib2 => Size::from_mib(2),
            Self::Gib1 => Size::from_mib(1024),
        }
    }
}

impl Hugepages {
    fn count(self) -> u64 {
        self.memory.bytes().div_ceil(self.page.size().bytes())
    }
}

/// How vgapt's own file says for how much of the number the guest is.
const FOR_GUEST: [&str; 2] = ["taken away by `vgapt undo`: ", " for a guest."];

/// The pages of this size that programs other than the guest use: they stay reserved beside the guest's. What vgapt reserved before
/// is for the guest, which may be running.
fn of_others(host: &Host, setup: &Setup, wanted: Hugepages) -> u64 {
    let used = host.memory.pool(wanted.page.size()).map_or(0, HugepagePool::used);
    let Some((reserved, guests)) = reserved_before(host, setup, wanted) else { return used };
    used.saturating_sub(guests).max(reserved.saturating_sub(guests))
}

/// How many pages vgapt reserved the last time, and how many of them for the guest.
fn reserved_before(host: &Host, setup: &Setup, wanted: Hugepages) -> Option<(u64, u64)> {
    match wanted.page {
        PageSize::Mib2 => {
            let text = setup.files.text(SYSCTL)?;
            let number = setup.files.sysctl("vm.nr_hugepages").into_iter().find(|(path, _)| *path == SYSCTL)?.1.parse().ok()?;
            let memory = text.split_once(FOR_GUEST[0]).and_then(|(_, rest)| rest.split_once(FOR_GUEST[1])?.0.parse().ok());
            Some((number, memory.map_or(number, |memory| Hugepages { memory, ..wanted }.count())))
        }
        // The command line does not say for how many of its pages vgapt asked; this line does say that it asked.
        PageSize::Gib1 => {
            let there = host.platform.cmdline.as_ref()?.boot_pages(wanted.page.size())?.total();
            setup.files.text(FSTAB)?.lines().any(is_mounted_1g).then(|| (there, wanted.count().min(there)))
        }
    }
}

fn is_mounted_1g(line: &str) -> bool {
    line.split_whitespace().nth(1) == Some(MOUNT_1G)
}

/// Whether pages of 1 GiB are mounted at boot: by a line of fstab, or by systemd's dev-hugepages.mount, where this is the default size.
fn is_mounted(host: &Host, table: &str) -> bool {
    const SIZES: [&str; 3] = ["1G", "1024M", "1048576K"];
    let has_size = |options: &str| options.split(',').filter_map(|one| one.strip_prefix("pagesize=")).any(|size| SIZES.contains(&size));
    let in_table = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .any(|fields| fields.len() > 3 && !fields[0].starts_with('#') && fields[2] == "hugetlbfs" && has_size(fields[3]));
    let page = PageSize::Gib1.size();
    let by_systemd = |(place, size): &(String, Option<Size>)| place == "/dev/hugepages" && *size == Some(page);
    in_table || (host.memory.default_hugepage == Some(page) && host.memory.hugetlbfs.iter().any(by_systemd))
}

/// Others use pages of the same pool, which is counted by one number.
pub(super) fn shared(host: &Host, setup: &Setup, wanted: Hugepages) -> Option<Finding> {
    let others = of_others(host, setup, wanted);
    let (guests, page) = (wanted.count(), wanted.page.size());
    (others > 0).then(|| {
        Finding::warning(
            "hugepages-in-use",
            format!(
                "other programs use {others} huge pages of {page}: {} are reserved, {guests} of them for the guest",
                guests.saturating_add(others)
            ),
            "nothing, if these programs keep running; else stop them, and run vgapt prepare again",
        )
    })
}

/// Why so many are not available.
pub(super) fn refusal(host: &Host, setup: &Setup, wanted: Hugepages) -> Option<Finding> {
    if wanted.page == PageSize::Gib1 && !host.cpu.flags.is_empty() && !host.cpu.flags.contains("pdpe1gb") {
        return Some(Finding::error("page-size", "this processor does not support pages of 1 GiB (flag pdpe1gb)", "use --page-size 2M"));
    }
    // vm.nr_hugepages counts pages of the default size (Documentation/admin-guide/mm/hugetlbpage.rst): as many of 1 GiB as were
    // meant of 2 MiB take all of the host's memory.
    if let Some(default) = host.memory.default_hugepage.filter(|size| wanted.page == PageSize::Mib2 && *size != PageSize::Mib2.size()) {
        let message = format!(
            "this host's huge pages are of {default} unless another size is named (default_hugepagesz on the kernel command line), and vm.nr_hugepages counts these"
        );
        return Some(Finding::error("page-size", message, "use --page-size 1G; or remove default_hugepagesz from the kernel command line"));
    }
    let Some(total) = host.memory.total else {
        let message = "the host's memory size cannot be read from /proc/meminfo, so it is unknown how much it can spare";
        return Some(Finding::error("too-many-hugepages", message, "omit --hugepages, or find out why /proc/meminfo cannot be read"));
    };
    let most = most_for_guests(total).bytes();
    let others = of_others(host, setup, wanted).saturating_mul(wanted.page.size().bytes());
    let asked = wanted.count().saturating_mul(wanted.page.size().bytes());
    (asked.saturating_add(others) > most).then(|| {
        let (memory, has, keeps) = (wanted.memory, total.kib() >> 10, kept_by_host(total).bytes() >> 20);
        let most = Size::from_mib(most.saturating_sub(others) >> 20);
        let used = if others > 0 { format!(", and other programs use {} in such pages", Size::from_bytes(others)) } else { String::new() };
        Finding::error(
            "too-many-hugepages",
            format!("{memory} in huge pages are requested; the host has {has} MiB, and keeps {keeps} MiB for itself{used}"),
            format!("request {most} at most, and give the domain no more memory"),
        )
    })
}

/// Pages of 1 GiB can be reserved only at boot; and a warning where they are not on the guest's nodes.
pub(super) fn parameter(host: &Host, setup: &Setup, wanted: &Wanted, pages: Hugepages) -> Option<(Needed, Option<Finding>)> {
    (pages.page == PageSize::Gib1).then(|| {
        let (placed, finding) = boot_pages::placed(host, setup, wanted, [pages.count(), of_others(host, setup, pages)], pages.page.size());
        let nodes: Vec<String> = placed.of_nodes().map(|(node, _)| node.to_string()).collect();
        let place = match &nodes[..] {
            [] => String::new(),
            [node] => format!(" on NUMA node {node}"),
            nodes => format!(" on the NUMA nodes {}", nodes.join(", ")),
        };
        let why = format!("{} of memory for the guest in pages of 1 GiB{place}, which can be reserved only at boot", pages.memory);
        (Needed::new(ParameterChange::Hugepages("1G", placed), why), finding)
    })
}

/// The files and commands.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: Hugepages) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    match wanted.page {
        PageSize::Mib2 => {
            let (memory, others) = (wanted.memory, of_others(host, setup, wanted));
            let count = wanted.count().saturating_add(others);
            let beside = if others > 0 { format!(" The other {others} pages are what other programs used.") } else { String::new() };
            let [undo, guest] = FOR_GUEST;
            let text = format!("# Written by `vgapt prepare`, {undo}{memory}{guest}{beside}\nvm.nr_hugepages = {count}\n");
            edits.write(setup, SYSCTL, text, 0o644, "huge pages, reserved at boot while memory is not fragmented")?;
            let pool = host.memory.hugepages.iter().find(|pool| pool.page == wanted.page.size());
            if !edits.writes.is_empty() {
                let why = "reserves them now, as far as memory is not fragmented";
                let mut command = Command::of(&["sysctl", "--quiet", "--load", SYSCTL], why);
                command.undo = pool.map(|pool| vec!["sysctl".to_owned(), "--quiet".to_owned(), format!("vm.nr_hugepages={}", pool.total)]);
                edits.commands.push(command);
            }
        }
        PageSize::Gib1 => {
            let table = setup.files.text(FSTAB).unwrap_or_default();
            if !is_mounted(host, table) {
                let options = "pagesize=1G,nofail,x-systemd.before=libvirtd.service,x-systemd.before=virtqemud.service";
                let text = shell::with_line(table, &format!("hugetlbfs {MOUNT_1G} hugetlbfs {options} 0 0"));
                edits.write(setup, FSTAB, text, 0o644, "pages of 1 GiB, mounted before libvirt looks for them")?;
            }
        }
    }
    Ok(edits)
}

/// A number on a command line that vgapt's replaces.
pub(super) fn replaced(host: &Host, setup: &Setup, wanted: Hugepages) -> Option<Finding> {
    let page = wanted.page.size();
    let counted = wanted.count().saturating_add(of_others(host, setup, wanted));
    // Without a size it is for the default one.
    let default = host.memory.default_hugepage.map(|size| format!("default_hugepagesz={}K ", size.kib())).unwrap_or_default();
    let pages = |line: &str| Cmdline(format!("{default}{line}")).boot_pages(page);
    let running = host.platform.cmdline.iter().map(|line| ("the kernel's command line".to_owned(), line.0.clone()));
    let entries = loaders::chosen(host, setup).map(|chosen| chosen.loader.next_boot(setup)).unwrap_or_default();
    let mut lines = running.chain(entries.into_iter().map(|entry| (entry.source, entry.cmdline)));
    let (place, there) = lines.find_map(|(place, line)| Some((place, pages(&line)?)))?;
    let is_ours = there.total() == counted || reserved_before(host, setup, wanted).is_some();
    (!is_ours).then(|| {
        Finding::warning(
            "hugepages-conflict",
            format!("{place} reserves {} huge pages of {page} at boot (hugepages={there}), and vgapt's number takes the place of that: {counted}", there.total()),
            format!("nothing, if the pages were for the guest; if another program needs all of them, too: vgapt prepare --hugepages {}M", {
                let all = wanted.count().saturating_add(there.total());
                all.saturating_sub(counted - wanted.count()).saturating_mul(page.bytes() >> 20)
            }),
        )
    })
}

/// Why a number of pages of the default size was not meant for that size: the host has not so much memory.
pub fn too_many(host: &Host, pages: u64) -> Option<String> {
    let (page, total) = (host.memory.default_hugepage?, host.memory.total?);
    let memory = pages.saturating_mul(page.bytes());
    (memory > total.bytes()).then(|| {
        format!(
            "vm.nr_hugepages counts pages of the default size, here {page}, so {pages} of them are {}, and the host has {} MiB: the number was meant for pages of another size",
            Size::from_bytes(memory),
            total.bytes() >> 20
        )
    })
}

/// What else sets the number: other files of sysctl.d, of which only the one whose name is last counts, `TuneD`, scripts and hooks.
pub(super) fn conflicts(host: &Host, setup: &Setup, wanted: Hugepages) -> Vec<Finding> {
    // The number is that of pages of the default size.
    if host.memory.default_hugepage.unwrap_or(PageSize::Mib2.size()) != wanted.page.size() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = of_sysctl(host, setup, wanted).into_iter().collect();
    if let Some((path, number)) = setup.files.tuned("vm.nr_hugepages") {
        findings.push(Finding::warning(
            "hugepages-conflict",
            format!("{path}, of TuneD's active profile, also sets vm.nr_hugepages, to {number}: TuneD sets it after sysctl.d was read, and that number stays unless reapply_sysctl is 1 in /etc/tuned/tuned-main.conf"),
            format!("remove that line from {path}, then: systemctl restart tuned"),
        ));
    }
    findings.extend(others::writers(setup, "nr_hugepages").into_iter().map(|WrittenLine { path, line, text }| {
        let when = if path.contains("/libvirt/hooks/") { "when a domain starts or stops" } else { "when it is run" };
        Finding::warning(
            "hugepages-conflict",
            format!("{path}, line {line} also sets the number of huge pages, {when}: {text}"),
            format!("let only one of them reserve the pages: remove that line from {path}, or leave out --hugepages"),
        )
    }));
    findings
}

fn of_sysctl(host: &Host, setup: &Setup, wanted: Hugepages) -> Option<Finding> {
    let name = |path: &str| path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned();
    let mut numbers =
        setup.files.sysctl("vm.nr_hugepages").into_iter().filter_map(|(path, number)| Some((path, number.parse::<u64>().ok()?)));
    let (path, there) = numbers.rfind(|(path, _)| *path != SYSCTL)?;
    let line = format!("remove that line from {path}");
    let says = format!("{path} also sets vm.nr_hugepages, to {there}");
    if let Some(why) = too_many(host, there) {
        return Some(Finding::warning("hugepages-conflict", format!("{says}; {why}"), line));
    }
    let others = of_others(host, setup, wanted);
    let count = wanted.count().saturating_add(others);
    let order = match wanted.page {
        // At boot the command line counts, until sysctl.d is read.
        PageSize::Gib1 if there == count => return None,
        PageSize::Gib1 => format!("which counts instead of the {count} on the kernel command line once sysctl.d is read"),
        PageSize::Mib2 if name(path) > name(SYSCTL) => "and is read later, so it counts instead of vgapt's number".to_owned(),
        PageSize::Mib2 => format!("and is read before {SYSCTL}, so only vgapt's number counts then: {count}"),
    };
    // What it sets may be in use now, and is counted then.
    let not_counted = there.saturating_sub(others);
    let remedy = if not_counted == 0 {
        format!("{line}: vgapt's number has the pages that are in use")
    } else {
        let all = wanted.count().saturating_add(not_counted).saturating_mul(wanted.page.size().bytes() >> 20);
        format!("{line}; if another program needs these pages, add them: vgapt prepare --hugepages {all}M")
    };
    Some(Finding::warning("hugepages-conflict", format!("{says}, {order}"), remedy))
}
