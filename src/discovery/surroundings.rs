//! What the speed of a running domain depends on, besides time: its memory's pages, links, interrupts, frequencies.

use std::path::Path;

use crate::model::{CpuSet, Frequency, GuestMemory, Link, PciAddress, Reading, Size, Surroundings, TurboOff};
use crate::root::Root;

/// What precedes the size of the pages of a mapping, in KiB.
const PAGE_SIZE: &str = "kernelpagesize_kB=";
const PCI: &str = "/sys/bus/pci/devices";

/// Of this QEMU and these host CPUs.
pub fn surroundings(root: &Root, pid: u32, cpus: &CpuSet) -> Surroundings {
    Surroundings {
        memory: memory(root, pid),
        pinned: pinned(root, pid),
        swapped: swapped(root, pid),
        turbo_off: turbo_off(root),
        posts_interrupts: posts_interrupts(root),
        aspm_policy: root.reading("/sys/module/pcie_aspm/parameters/policy").and_then(|text| chosen(&text)),
        agent: Reading::Absent,
        exit_reasons: Reading::Unknown("they were not counted".to_owned()),
        frequencies: cpus.0.iter().filter_map(|cpu| Some((*cpu, frequency(root, *cpu)?))).collect(),
        versions: Vec::new(),
        halt_polling: root.attribute_reading("/sys/module/kvm/parameters/halt_poll_ns").and_then(|text| counted(&text)),
        merged: merged(root, pid),
    }
}

/// `smaps_rollup` has the sums, `numa_maps` each mapping's nodes and page size; both are for root and the process's user.
fn memory(root: &Root, pid: u32) -> Reading<GuestMemory> {
    root.reading(&format!("/proc/{pid}/smaps_rollup")).then(|rollup| match root.reading(&format!("/proc/{pid}/numa_maps")) {
        Reading::Absent => Reading::Unknown("this kernel does not say in which pages memory is (CONFIG_NUMA)".to_owned()),
        maps => maps.and_then(|maps| memory_of(&rollup, &maps)),
    })
}

/// The size behind this name, in `/proc/PID/status` or `smaps_rollup`.
fn kib(text: &str, name: &str) -> Option<Size> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).map(Size::from_kib)
}

/// What is pinned for devices (`VmPin`), or locked (`VmLck`): kernels that do not count one of them have no line for it.
fn pinned(root: &Root, pid: u32) -> Reading<Size> {
    root.reading(&format!("/proc/{pid}/status")).and_then(|status| {
        let most = kib(&status, "VmPin").max(kib(&status, "VmLck"));
        most.ok_or_else(|| "this kernel does not say how much of QEMU's memory is pinned".to_owned())
    })
}

fn swapped(root: &Root, pid: u32) -> Reading<Size> {
    let rollup = root.reading(&format!("/proc/{pid}/smaps_rollup"));
    rollup.and_then(|rollup| kib(&rollup, "Swap").ok_or_else(|| "smaps_rollup does not say what is in swap".to_owned()))
}

fn memory_of(rollup: &str, maps: &str) -> Result<GuestMemory, String> {
    if !maps.contains(PAGE_SIZE) {
        return Err("numa_maps does not say how large the pages are".to_owned());
    }
    let resident = kib(rollup, "Rss").ok_or("smaps_rollup does not say how much memory is resident")?;
    let transparent = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"];
    let transparent = transparent.iter().filter_map(|name| kib(rollup, name)).fold(0_u64, |sum, size| sum.saturating_add(size.bytes()));
    let mut memory = GuestMemory {
        transparent: Size::from_bytes(transparent),
        // hugetlbfs is not in it (`smaps_hugetlb_range`).
        ordinary: Size::from_bytes(resident.bytes().saturating_sub(transparent)),
        ..GuestMemory::default()
    };
    for line in maps.lines() {
        let value = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
        let Some(page) = value(PAGE_SIZE).map(Size::from_kib) else { continue };
        // `N0=256`: pages of this mapping's size on node 0.
        let nodes = line.split_whitespace().filter_map(|word| {
            let (node, pages) = word.strip_prefix('N')?.split_once('=')?;
            Some((node.parse::<u32>().ok()?, pages.parse::<u64>().ok()?.saturating_mul(page.bytes())))
        });
        let mut sum = 0_u64;
        for (node, bytes) in nodes {
            let known = memory.nodes.entry(node).or_default();
            *known = Size::from_bytes(known.bytes().saturating_add(bytes));
            sum = sum.saturating_add(bytes);
        }
        if line.split_whitespace().any(|word| word == "huge") {
            let known = memory.reserved.entry(page).or_default();
            *known = Size::from_bytes(known.bytes().saturating_add(sum));
        }
    }
    Ok(memory)
}

/// The links on the way to a function: its own, and those of the switches above it. A card with a switch of its own (AMD's
/// since RDNA, Intel's Arc) tells inside of what it could do, whatever its slot: only the link of that switch counts.
pub(super) fn links(root: &Root, address: PciAddress) -> Vec<Link> {
    // A virtual function has no link of its own: its registers for it are empty (PCI Express, single root I/O virtualization).
    let physical: Option<PciAddress> = root.link(&format!("{PCI}/{address}/physfn")).and_then(|path| path.rsplit('/').next()?.parse().ok());
    let home = format!("{PCI}/{}", physical.unwrap_or(address));
    let place = root.real_path(&home).unwrap_or(home);
    // Behind a bridge to PCI there is no link of its own, and what is above pairs otherwise.
    if root.attribute(&format!("{place}/max_link_width")).is_none() {
        return Vec::new();
    }
    let is_function = |path: &&Path| path.file_name().is_some_and(|name| name.to_string_lossy().parse::<PciAddress>().is_ok());
    let way: Vec<String> = Path::new(&place).ancestors().take_while(is_function).map(|path| path.display().to_string()).collect();
    // Each has two ends; the ports of a switch are connected inside.
    let mut links: Vec<Link> = way.chunks(2).filter_map(|ends| link(root, address, &ends[0], ends.get(1).map(String::as_str))).collect();
    let vendor = |end: usize| root.attribute(&format!("{}/vendor", way.get(end)?));
    if links.len() > 1 && vendor(0).is_some() && vendor(0) == vendor(2) {
        links.remove(0);
    }
    for link in &mut links {
        link.physical_function = physical;
        link.switch = link.switch.filter(|switch| Some(*switch) != physical);
    }
    links
}

fn link(root: &Root, address: PciAddress, home: &str, port: Option<&str>) -> Option<Link> {
    let number = |home: &str, name: &str| number(&root.attribute(&format!("{home}/{name}"))?);
    let own = |name: &str| number(home, name);
    let of_port = |name: &str| number(port?, name);
    let least = |name: &str| [own(name), of_port(name)].into_iter().flatten().min();
    let is_below = |name: &str| of_port(name).zip(own(name)).is_some_and(|(port, own)| port < own);
    own("max_link_width")?;
    let end = home.rsplit('/').next().and_then(|name| name.parse().ok());
    Some(Link {
        address,
        physical_function: None,
        switch: end.filter(|end| *end != address),
        speed: own("current_link_speed"),
        width: own("current_link_width"),
        most_speed: least("max_link_speed"),
        most_width: least("max_link_width"),
        is_limited_by_port: is_below("max_link_speed") || is_below("max_link_width"),
        sleeps: sleeps(root, home),
    })
}

/// The files of `link/` (Documentation/ABI/testing/sysfs-bus-pci) for the states that both ends have; none of them where the
/// kernel does not manage this link.
fn sleeps(root: &Root, home: &str) -> Option<Vec<String>> {
    let states = [("l0s_aspm", "L0s"), ("l1_aspm", "L1"), ("l1_1_aspm", "L1.1"), ("l1_2_aspm", "L1.2")];
    let read = states.map(|(file, state)| Some((state, root.attribute(&format!("{home}/link/{file}"))?)));
    let known: Vec<(&str, String)> = read.into_iter().flatten().collect();
    let on = known.iter().filter(|(_, value)| value == "1").map(|(state, _)| (*state).to_owned()).collect();
    (!known.is_empty()).then_some(on)
}

/// `run` is 1 while KSM works, and 0 keeps what was merged (Documentation/admin-guide/mm/ksm.rst).
fn merged(root: &Root, pid: u32) -> Reading<Size> {
    let run = root.attribute_reading("/sys/kernel/mm/ksm/run");
    run.then(|run| match (run.trim(), pages_merged(root, pid)) {
        ("1", merged) => merged,
        ("0", Reading::Known(merged)) if merged > Size::default() => Reading::Known(merged),
        _ => Reading::Absent,
    })
}

/// In pages of the kernel, since Linux 5.19 (`ksm_merging_pages`).
fn pages_merged(root: &Root, pid: u32) -> Reading<Size> {
    match root.attribute_reading(&format!("/proc/{pid}/ksm_merging_pages")) {
        Reading::Absent => Reading::Unknown("this kernel does not say of a process what KSM merged of it".to_owned()),
        pages => pages.and_then(|pages| Ok(Size::from_kib(counted(&pages)?.saturating_mul(4)))),
    }
}

fn counted(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("the kernel says '{}' where a number is expected", text.trim()))
}

/// `default performance [powersave] powersupersave`.
fn chosen(text: &str) -> Result<String, String> {
    let word = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    word.map(str::to_owned).ok_or_else(|| format!("the kernel's policy for sleeping links is not as expected: {}", text.trim()))
}

/// `16.0 GT/s PCIe` in MT/s, or a width; "Unknown" and the widths 0 and 255 are none (`current_link_width_show`).
fn number(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let number = words.next()?;
    if words.next() == Some("GT/s") {
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        return whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(tenths.get(..1)?.parse::<u64>().ok()? * 100);
    }
    number.parse().ok().filter(|width| *width > 0 && *width < 255)
}

/// Whether a process runs a program that is no longer there, or another one by now (`proc_pid_exe(5)`).
pub fn is_replaced(root: &Root, pid: u32) -> bool {
    root.link(&format!("/proc/{pid}/exe")).is_some_and(|program| program.ends_with(" (deleted)"))
}

/// The numbers of interrupts that the kernel distributes by itself: it makes their affinity a file that nobody may write
/// (`register_irq_proc` of kernel/irq/proc.c; older kernels refuse the writing).
pub fn fixed_interrupts(root: &Root) -> Vec<String> {
    const IRQ: &str = "/proc/irq";
    let is_fixed = |number: &String| {
        let status = root.status(&format!("{IRQ}/{number}/smp_affinity_list"));
        status.is_some_and(|status| status.mode & 0o222 == 0)
    };
    root.names(IRQ).into_iter().filter(|name| name.parse::<u32>().is_ok()).filter(is_fixed).collect()
}

/// Whether KVM delivers interrupts without an exit, and the IOMMUs can post those of devices to it.
fn posts_interrupts(root: &Root) -> Reading<bool> {
    let of = |path: &str| root.reading(path).map(|text| matches!(text.trim(), "Y" | "1"));
    let by_kvm = match of("/sys/module/kvm_intel/parameters/enable_apicv") {
        Reading::Absent => of("/sys/module/kvm_amd/parameters/avic"),
        known => known,
    };
    by_kvm.map(|by_kvm| by_kvm && can_post(root) != Some(false))
}

/// Bit 59 of Intel's capabilities (`cap_pi_support` of drivers/iommu/intel/iommu.h), bit 7 of AMD's extended features
/// (`FEATURE_GA` of `amd_iommu_types.h`); `None` where no IOMMU says it.
fn can_post(root: &Root) -> Option<bool> {
    const IOMMUS: &str = "/sys/class/iommu";
    let bit = |name: &String| {
        let of = |file: &str, bit: u32| {
            let text = root.attribute(&format!("{IOMMUS}/{name}/{file}"))?;
            // AMD's may be two words: the second is another register.
            let word = text.split([':', ' ']).next()?.trim_start_matches("0x");
            Some(u64::from_str_radix(word, 16).ok()? >> bit & 1 == 1)
        };
        of("intel-iommu/cap", 59).or_else(|| of("amd-iommu/features", 7))
    };
    let known: Vec<bool> = root.names(IOMMUS).iter().filter_map(bit).collect();
    (!known.is_empty()).then(|| known.into_iter().all(|can| can))
}

/// By the driver of Intel's processors, or by that of others (`intel_pstate.rst` and `cpufreq.rst` in Documentation/admin-guide/pm).
fn turbo_off(root: &Root) -> Option<TurboOff> {
    let cpus = "/sys/devices/system/cpu";
    let files = [("intel_pstate/no_turbo", "1", "0"), ("cpufreq/boost", "0", "1")];
    let off = files.into_iter().find(|(file, off, _)| root.attribute(&format!("{cpus}/{file}")).as_deref() == Some(off));
    off.map(|(file, _, on)| TurboOff { file: format!("{cpus}/{file}"), on })
}

fn frequency(root: &Root, cpu: u32) -> Option<Frequency> {
    let read = |name: &str| root.attribute(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}"));
    Some(Frequency {
        governor: read("scaling_governor")?,
        driver: read("scaling_driver"),
        preference: read("energy_performance_preference"),
        most_khz: read("cpuinfo_max_freq").and_then(|khz| khz.parse().ok()),
        limit_khz: read("scaling_max_freq").and_then(|khz| khz.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn pages_are_counted_by_size_and_node() {
        let maps = "7f0 default anon=10 dirty=10 N0=6 N1=4 kernelpagesize_kB=4\n\
                    7f1 bind:0 file=/dev/hugepages/x huge dirty=3 N0=3 kernelpagesize_kB=2048\n7f2 default huge N1=1 kernelpagesize_kB=1048576\nx\n";
        assert!(memory_of("", maps).is_err() && memory_of("Rss: 1 kB\n", "7f0 default\n").is_err());
        let memory = memory_of("Rss:  5000 kB\nAnonHugePages:  4096 kB\n", maps).unwrap();
        let mib = Size::from_mib;
        assert_eq!(memory.reserved, BTreeMap::from([(mib(2), mib(6)), (mib(1024), mib(1024))]));
        assert_eq!(memory.nodes[&0], Size::from_kib(6144 + 24));
        assert_eq!((memory.transparent, memory.ordinary), (mib(4), Size::from_kib(904)));
        assert_eq!(chosen("default [performance] powersave\n"), Ok("performance".to_owned()));
        assert!(chosen("default").is_err());
    }

    #[test]
    fn speeds_and_widths() {
        for (text, read) in [("8.0 GT/s PCIe", Some(8000)), ("2.5 GT/s", Some(2500)), ("16", Some(16)), ("Unknown", None), ("0", None)] {
            assert_eq!(number(text), read, "{text}");
        }
    }
}
