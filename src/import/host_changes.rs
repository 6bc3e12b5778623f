//! What a script does to the host besides running programs, and who does it for a domain.

use std::collections::BTreeMap;

/// Something that is not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChange {
    pub line: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It writes into this file of the kernel.
    Written(String),
    /// It has this done when it ends.
    AtEnd(String),
}

/// Parts of the paths of the kernel's files: what is done by writing into them, and who does it for a domain.
const KINDS: &[(&[&str], &str, &str)] = &[
    (
        &["/driver_override", "/drivers_probe", "/new_id", "/remove_id", "/sys/bus/pci/drivers/", "/driver/unbind"],
        "binds devices to drivers",
        "libvirt does it at the start, and gives them back at the end (managed='yes'); vgapt prepare does it at boot",
    ),
    (
        &["/sys/bus/pci/rescan", "/remove", "/reset"],
        "removes, resets or finds PCI devices again",
        "libvirt resets devices that it passes through; vgapt start looks at them first, and vgapt reset resets one",
    ),
    (&["/vtconsole", "-framebuffer"], "takes the console off the card", "vgapt define NAME --handover does it with the display manager"),
    (&["hugepages"], "reserves huge pages", "vgapt define NAME --hugepages has them reserved before the start"),
    (
        &["/cpuset", "/sys/fs/cgroup", "/proc/self/", "/tasks"],
        "puts processes into groups",
        "libvirt makes its own group for each domain; for CPUs of its own: vgapt define NAME --pin",
    ),
    (&["/smp_affinity"], "moves interrupts", "vgapt's hook does it for a pinned domain: vgapt define NAME --pin"),
    (&["/cpufreq/"], "sets frequencies of the CPUs", "vgapt's hook sets the governor for a pinned domain: vgapt define NAME --pin"),
    (&["/cpuidle/", "/cpu_dma_latency"], "sets idle states of the CPUs", IN_HOOK),
    (&["/mdev_supported_types/"], "makes mediated devices", "mdevctl makes them at each boot"),
    (&["/sriov_numvfs"], "makes virtual functions", "vgapt prepare makes them at each boot"),
];
/// What nothing does by itself.
const IN_HOOK: &str = "do it before the start, or in libvirt's hook (/etc/libvirt/hooks/qemu)";

/// What is said of them, one note for each kind.
pub(super) fn notes(host_changes: &[HostChange]) -> Vec<String> {
    let mut kinds: BTreeMap<(String, &str), Vec<&HostChange>> = BTreeMap::new();
    for change in host_changes {
        let kind = match &change.what {
            What::Written(path) => {
                let row = KINDS.iter().find(|(parts, ..)| parts.iter().any(|part| path.contains(part)));
                row.map_or_else(|| (format!("writes into {path}"), IN_HOOK), |(_, does, way)| ((*does).to_owned(), *way))
            }
            What::AtEnd(command) => {
                let way = "libvirt's hook can do it when the domain is off (release); what libvirt did for the start it undoes itself";
                (format!("runs '{command}' when it ends"), way)
            }
        };
        kinds.entry(kind).or_default().push(change);
    }
    let note = |((does, way), host_changes): ((String, &str), Vec<&HostChange>)| {
        let mut lines: Vec<usize> = host_changes.iter().map(|change| change.line).collect();
        lines.sort_unstable();
        lines.dedup();
        let word = if lines.len() == 1 { "line" } else { "lines" };
        let lines = lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        format!("{word} {lines}: the script {does}, which is not carried over: {way}")
    };
    kinds.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_with_its_lines() {
        let written = |line, path: &str| HostChange { line, what: What::Written(path.to_owned()) };
        let host_changes = [
            written(20, "/sys/bus/pci/devices/0000:01:00.0/driver_override"),
            written(19, "/sys/bus/pci/devices/0000:01:00.0/driver/unbind"),
            written(20, "/sys/bus/pci/devices/0000:01:00.1/driver_override"),
            written(7, "/sys/fs/cgroup/cpuset/vm/tasks"),
            written(9, "/proc/sys/kernel/sched_rt_runtime_us"),
            HostChange { line: 15, what: What::AtEnd("cleanup".into()) },
        ];
        let notes = notes(&host_changes).join("\n");
        for said in [
            "lines 19, 20: the script binds devices to drivers, which is not carried over: libvirt does it at the start",
            "line 7: the script puts processes into groups",
            "line 9: the script writes into /proc/sys/kernel/sched_rt_runtime_us, which is not carried over: do it before the start",
            "line 15: the script runs 'cleanup' when it ends",
        ] {
            assert!(notes.contains(said), "{said}\n{notes}");
        }
    }
}
