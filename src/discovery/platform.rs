//! The machine: processors, memory and huge pages, IOMMU tables, kernel, distribution, boot loader, initramfs tool.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::Scope;
use crate::model::{
    Cache, Cmdline, Cpu, CpuSet, Distribution, HOOK, Host, HugepagePool, InitramfsTool, Iommu, LogicalCpu, Memory, NodePool, Platform,
    Reading, Size, Topology,
};
use crate::root::Root;

const CPUS: &str = "/sys/devices/system/cpu";
/// Enough for the first processor's paragraph; the kernel generates each further page on every read.
const FIRST_PARAGRAPH: usize = 8192;
/// The kinds of cores of hybrid processors: `/sys/devices/cpu_core/cpus` and so on.
const KINDS: [&str; 3] = ["core", "atom", "lowpower"];

pub(super) fn processor(root: &Root) -> Cpu {
    let bytes = root.first_bytes("/proc/cpuinfo", FIRST_PARAGRAPH).unwrap_or_default();
    parse(&String::from_utf8_lossy(&bytes))
}

/// What only the definition of a domain asks of the processor.
pub(super) fn as_kernel_uses_it(root: &Root, processor: Cpu) -> Cpu {
    let clock = root.attribute("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    Cpu { delivers_interrupts: delivers_interrupts(root), tsc_keeps_time: clock.map(|clock| clock == "tsc"), ..processor }
}

/// Parameters of KVM's modules, as they are in effect (Linux `arch/x86/kvm/vmx/vmx.c` and `svm/avic.c`). A processor that
/// could, and its flag, say nothing: AVIC was off by default for years.
fn delivers_interrupts(root: &Root) -> Option<bool> {
    let parameters = ["kvm_intel/parameters/enable_apicv", "kvm_amd/parameters/avic"];
    match parameters.iter().find_map(|parameter| root.attribute(&format!("/sys/module/{parameter}")))?.as_str() {
        "Y" | "1" => Some(true),
        "N" | "0" => Some(false),
        _ => None,
    }
}

fn parse(cpuinfo: &str) -> Cpu {
    let first = cpuinfo.split("\n\n").next().unwrap_or_default();
    let values: BTreeMap<&str, &str> =
        first.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim())).collect();
    let value = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
    Cpu {
        vendor: value("vendor_id").map(str::to_owned),
        model: value("model name").map(str::to_owned),
        family: value("cpu family").and_then(|text| text.parse().ok()),
        physical_bits: value("address sizes").and_then(|text| text.split_once(" bits physical")?.0.parse().ok()),
        flags: value("flags").or_else(|| value("Features")).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect(),
        ..Cpu::default()
    }
}

fn cpu_set(root: &Root, path: &str) -> Option<CpuSet> {
    root.attribute(path).and_then(|text| text.parse().ok())
}

/// Only the online logical CPUs.
pub(super) fn online(root: &Root) -> CpuSet {
    root.attribute(&format!("{CPUS}/online")).and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(super) fn topology(root: &Root) -> Topology {
    let set = |path: &str| cpu_set(root, path);
    let online = online(root);
    let kinds: Vec<(&str, CpuSet)> =
        KINDS.iter().filter_map(|kind| Some((*kind, set(&format!("/sys/devices/cpu_{kind}/cpus"))?))).collect();
    let nodes: Vec<(u32, CpuSet)> = root
        .names("/sys/devices/system/node")
        .iter()
        .filter_map(|name| Some((name.strip_prefix("node")?.parse().ok()?, set(&format!("/sys/devices/system/node/{name}/cpulist"))?)))
        .collect();
    let cpus = online.0.iter().map(|cpu| {
        let home = format!("{CPUS}/cpu{cpu}");
        let number = |name: &str| root.attribute(&format!("{home}/{name}")).and_then(|text| text.parse().ok());
        let siblings = set(&format!("{home}/topology/core_cpus_list")).or_else(|| set(&format!("{home}/topology/thread_siblings_list")));
        LogicalCpu {
            cpu: *cpu,
            package: number("topology/physical_package_id"),
            die: number("topology/die_id"),
            siblings: siblings.unwrap_or_else(|| CpuSet(BTreeSet::from([*cpu]))),
            node: nodes.iter().find(|(_, members)| members.0.contains(cpu)).map(|(node, _)| *node),
            kind: kinds.iter().find(|(_, members)| members.0.contains(cpu)).map(|(kind, _)| (*kind).to_owned()),
            max_khz: root.attribute(&format!("{home}/cpufreq/cpuinfo_max_freq")).and_then(|text| text.parse().ok()),
        }
    });
    let cpus = cpus.collect();
    Topology { cpus, caches: caches(root, &online), ..isolation(root) }
}

/// The online CPUs, and those that the kernel isolates or does not interrupt.
pub(super) fn isolation(root: &Root) -> Topology {
    let isolated = cpu_set(root, &format!("{CPUS}/isolated")).unwrap_or_default();
    // Without the option of the kernel there is no such attribute, and its neighbour is always there (drivers/base/cpu.c); older
    // kernels say (null) for none.
    let nohz_full = match root.reading(&format!("{CPUS}/nohz_full")) {
        Reading::Absent if !root.exists(&format!("{CPUS}/isolated")) => Reading::default(),
        read => read.and_then(|text| text.replace("(null)", "").trim().parse()),
    };
    // libvirt's guests are in `machine.slice`; before the first one starts, it may have what the root has, which is all but the
    // CPUs of partitions (Documentation/admin-guide/cgroup-v2.rst, `cpuset.cpus.effective`).
    let mut groups = ["machine.slice/", ""].into_iter().map(|group| format!("/sys/fs/cgroup/{group}cpuset.cpus.effective"));
    let of_guests = groups.find_map(|path| cpu_set(root, &path)).filter(|cpus| !cpus.0.is_empty());
    Topology { online: online(root), isolated, of_guests, nohz_full, ..Topology::default() }
}

/// The caches of level 2 and 3, without duplicates: sysfs lists each under every CPU that shares it.
fn caches(root: &Root, online: &CpuSet) -> Vec<Cache> {
    let mut caches = BTreeSet::new();
    for cpu in &online.0 {
        for index in root.names(&format!("{CPUS}/cpu{cpu}/cache")) {
            let attribute = |name: &str| root.attribute(&format!("{CPUS}/cpu{cpu}/cache/{index}/{name}"));
            let Some(level @ 2..=3) = attribute("level").and_then(|text| text.parse().ok()) else { continue };
            let Some(cpus) = attribute("shared_cpu_list").and_then(|text| text.parse().ok()) else { continue };
            let size = attribute("size").and_then(|text| text.parse::<Size>().ok());
            caches.insert(Cache { level, cpus, size });
        }
    }
    caches.into_iter().collect()
}

const NODES: &str = "/sys/devices/system/node";
const POOLS: &str = "/sys/kernel/mm/hugepages";

pub(super) fn memory(root: &Root) -> Memory {
    let meminfo = root.text("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok().map(Size::from_kib)
    };
    Memory {
        total: kib("MemTotal"),
        available: kib("MemAvailable"),
        default_hugepage: kib("Hugepagesize"),
        transparent: root
            .attribute("/sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| text.split_whitespace().find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))),
        hugepages: pools(root, POOLS),
        nodes: node_memory(root),
        node_hugepages: node_pools(root),
        hugetlbfs: root.text("/proc/mounts").map(|mounts| hugetlbfs(&mounts)).unwrap_or_default(),
    }
}

/// The line `Node 0 MemTotal:       98304 kB` of each node.
fn node_memory(root: &Root) -> Vec<(u32, Size)> {
    let total = |name: &String| {
        let text = root.text(&format!("{NODES}/{name}/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.split_once("MemTotal:"))?.1;
        Some((name.strip_prefix("node")?.parse().ok()?, Size::from_kib(line.trim().strip_suffix("kB")?.trim().parse().ok()?)))
    };
    root.names(NODES).iter().filter_map(total).collect()
}

/// The pools of huge pages of the host or of a node, smallest page size first.
fn pools(root: &Root, place: &str) -> Vec<HugepagePool> {
    let mut pools: Vec<HugepagePool> = root.names(place).iter().filter_map(|name| pool(root, place, name)).collect();
    pools.sort_by_key(|pool| pool.page);
    pools
}

/// A directory such as `hugepages-2048kB`.
fn pool(root: &Root, place: &str, name: &str) -> Option<HugepagePool> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    let count = |file: &str| root.attribute(&format!("{place}/{name}/{file}")).and_then(|text| text.parse().ok());
    Some(HugepagePool { page: Size::from_kib(kib), total: count("nr_hugepages")?, free: count("free_hugepages").unwrap_or(0) })
}

/// Of a single node they are those of the host.
fn node_pools(root: &Root) -> Vec<NodePool> {
    let names = root.names(NODES);
    let nodes: Vec<u32> = names.iter().filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
    let of_node = |node: &u32| {
        let node = *node;
        pools(root, &format!("{NODES}/node{node}/hugepages")).into_iter().map(move |pool| NodePool { node, pool })
    };
    nodes.iter().filter(|_| nodes.len() > 1).flat_map(of_node).collect()
}

fn hugetlbfs(mounts: &str) -> Vec<(String, Option<Size>)> {
    let mount = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (place, kind, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let page = options.split(',').find_map(|option| option.strip_prefix("pagesize=")?.parse().ok());
        (kind == "hugetlbfs").then(|| (place.to_owned(), page))
    };
    mounts.lines().filter_map(mount).collect()
}

pub(super) const IOMMUS: &str = "/sys/class/iommu";
const TABLES: &str = "/sys/firmware/acpi/tables";

/// The firmware's tables that describe an IOMMU: Intel, AMD, virtio.
const IOMMU_TABLES: [&str; 3] = ["DMAR", "IVRS", "VIOT"];

/// Files that only one initramfs tool has.
const INITRAMFS_TOOLS: [(InitramfsTool, &[&str]); 4] = [
    (InitramfsTool::InitramfsTools, &["/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/modules"]),
    (InitramfsTool::Dracut, &["/etc/dracut.conf", "/etc/dracut.conf.d"]),
    (InitramfsTool::Mkinitcpio, &["/etc/mkinitcpio.conf"]),
    (InitramfsTool::Booster, &["/etc/booster.yaml"]),
];

pub(super) fn platform(root: &Root, scope: Scope, host: &Host) -> Platform {
    let mut platform = Platform::default();
    let groups = host.has_groups();
    let is_whole = matches!(scope, Scope::NextStep | Scope::All);
    if !groups || is_whole {
        platform.iommu_tables =
            IOMMU_TABLES.iter().filter(|table| root.exists(&format!("{TABLES}/{table}"))).map(|table| (*table).to_owned()).collect();
        platform.cmdline = root.attribute("/proc/cmdline").map(Cmdline);
    }
    platform.iommu = if groups {
        Iommu::On
    } else if is_dom0(root) {
        Iommu::Xen
    } else if !platform.iommu_tables.is_empty() {
        Iommu::Off
    } else if host.cpu.is_guest() {
        Iommu::Guest
    } else if root.exists(TABLES) {
        Iommu::FirmwareOff
    } else {
        Iommu::Unknown
    };
    platform.kernel = root.attribute("/proc/sys/kernel/osrelease");
    platform.has_hook = root.exists(HOOK);
    platform.board = root.attribute("/sys/class/dmi/id/board_name");
    if is_whole {
        platform.iommu_bits = iommu_bits(root);
        platform.distribution = distribution(root, platform.kernel.as_deref());
        platform.initramfs_tools = present(root, &INITRAMFS_TOOLS);
    }
    platform
}

/// Whether this kernel runs on Xen and controls it (Linux `drivers/xen/sys-hypervisor.c`, `drivers/xen/xenfs/super.c`).
fn is_dom0(root: &Root) -> bool {
    let says = |path: &str, word: &str| root.attribute(path).is_some_and(|text| text.contains(word));
    says("/sys/hypervisor/type", "xen") && says("/proc/xen/capabilities", "control_d")
}

/// The address width of the narrowest Intel IOMMU unit: MGAW, bits 16 to 21 of the capability register, plus one
/// (Intel VT-d specification, 11.4.2).
fn iommu_bits(root: &Root) -> Option<u32> {
    let width = |unit: &String| {
        let text = root.attribute(&format!("{IOMMUS}/{unit}/intel-iommu/cap"))?;
        let register = u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()?;
        u32::try_from(register >> 16 & 0x3f).ok().map(|width| width + 1)
    };
    root.names(IOMMUS).iter().filter_map(width).min()
}

fn distribution(root: &Root, kernel: Option<&str>) -> Distribution {
    let text = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release")).unwrap_or_default();
    let value = |key: &str| {
        let raw = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let plain = raw.trim().trim_matches(['"', '\'']);
        (!plain.is_empty()).then(|| plain.to_owned())
    };
    let of_release = Distribution {
        id: value("ID"),
        like: value("ID_LIKE").unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect(),
        version: value("VERSION_ID"),
        name: value("PRETTY_NAME").or_else(|| value("NAME")),
    };
    // Proxmox VE leaves Debian's os-release as it is; its kernels are named so.
    if kernel.is_some_and(|release| release.ends_with("-pve")) { proxmox(of_release) } else { of_release }
}

/// Proxmox VE on this distribution.
fn proxmox(below: Distribution) -> Distribution {
    Distribution {
        id: Some(Distribution::PROXMOX.to_owned()),
        name: Some(below.name.map_or_else(|| "Proxmox VE".to_owned(), |name| format!("Proxmox VE on {name}"))),
        like: below.id.into_iter().chain(below.like).collect(),
        version: below.version,
    }
}

fn present<T: Copy>(root: &Root, marks: &[(T, &[&str])]) -> Vec<T> {
    marks.iter().filter(|(_, paths)| paths.iter().any(|path| root.exists(path))).map(|(what, _)| *what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_processor() {
        let cpu = parse(
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel name\t: AMD Ryzen\nflags\t\t: fpu svm\naddress sizes\t: 43 bits physical, 48 bits virtual\n\nprocessor\t: 1\nflags\t\t: other\n",
        );
        assert!(cpu.is_amd());
        assert_eq!((cpu.family, cpu.physical_bits, cpu.virtualization()), (Some(23), Some(43), Some(true)));
        assert_eq!(parse(""), Cpu::default());
        assert_eq!(parse("\u{0}garbage: :\n:::"), Cpu::default());
    }

    #[test]
    fn mounts() {
        let mounts = "/dev/sda2 / ext4 rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\nx /big hugetlbfs rw,pagesize=1024M 0 0\ntruncated";
        assert_eq!(
            hugetlbfs(mounts),
            [("/dev/hugepages".to_owned(), Some(Size::from_mib(2))), ("/big".to_owned(), Some(Size::from_mib(1024)))]
        );
    }
}
