//! Huge pages for a guest's memory: as many as needed, and never more than the host can spare.

use super::boot_pages::{self, kept_by_host, most_in_hugepages};
use super::parameters::Needed;
use crate::host::plan::{Command, Edits};
use crate::host::request::{Hugepages, PageSize, Wanted};
use crate::host::text::shell;
use crate::host::text::tokens::ParameterChange;
use crate::model::{Finding, Host, Setup, Size};

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

/// Why so many are not available.
pub(super) fn refusal(host: &Host, wanted: Hugepages) -> Option<Finding> {
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
    let most = most_in_hugepages(total).bytes();
    let asked = wanted.count().saturating_mul(wanted.page.size().bytes());
    (asked > most).then(|| {
        let (memory, has, keeps, most) = (wanted.memory, total.kib() >> 10, kept_by_host(total).bytes() >> 20, Size::from_mib(most >> 20));
        Finding::error(
            "too-many-hugepages",
            format!("{memory} in huge pages are requested; the host has {has} MiB, and keeps {keeps} MiB for itself"),
            format!("request {most} at most, and give the domain no more memory"),
        )
    })
}

/// Pages of 1 GiB can be reserved only at boot; and a warning where they are not on the guest's nodes.
pub(super) fn parameter(host: &Host, setup: &Setup, wanted: &Wanted, pages: Hugepages) -> Option<(Needed, Option<Finding>)> {
    (pages.page == PageSize::Gib1).then(|| {
        let (placed, finding) = boot_pages::placed(host, setup, wanted, pages.count(), pages.page.size());
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
            let (memory, count) = (wanted.memory, wanted.count());
            let text =
                format!("# Written by `vgapt prepare`, taken away by `vgapt undo`: {memory} for a guest.\nvm.nr_hugepages = {count}\n");
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
            let is_mounted = |line: &str| line.split_whitespace().nth(1) == Some(MOUNT_1G);
            let table = setup.files.text(FSTAB).unwrap_or_default();
            if !table.lines().any(is_mounted) {
                let options = "pagesize=1G,nofail,x-systemd.before=libvirtd.service,x-systemd.before=virtqemud.service";
                let text = shell::with_line(table, &format!("hugetlbfs {MOUNT_1G} hugetlbfs {options} 0 0"));
                edits.write(setup, FSTAB, text, 0o644, "pages of 1 GiB, mounted before libvirt looks for them")?;
            }
        }
    }
    Ok(edits)
}

/// Another file that sets the number: only the one whose name is last counts.
pub(super) fn conflict(setup: &Setup, wanted: Hugepages) -> Option<Finding> {
    let name = |path: &str| path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned();
    let mut numbers =
        setup.files.sysctl("vm.nr_hugepages").into_iter().filter_map(|(path, number)| Some((path, number.parse::<u64>().ok()?)));
    let last = numbers.rfind(|(path, _)| *path != SYSCTL);
    let (path, there) = last.filter(|_| wanted.page == PageSize::Mib2)?;
    let order = if name(path) > name(SYSCTL) {
        "is read later, so it counts instead of vgapt's number".to_owned()
    } else {
        format!("is read before {SYSCTL}, so only vgapt's number counts then: {}", wanted.count())
    };
    Some(Finding::warning(
        "hugepages-conflict",
        format!("{path} also sets vm.nr_hugepages, to {there}, and {order}"),
        format!(
            "remove that line from {path}; if another program needs these pages, add them: vgapt prepare --hugepages {}M",
            wanted.count().saturating_add(there).saturating_mul(2)
        ),
    ))
}
