//! Processors: `/proc/cpuinfo` and `/sys/devices/system/cpu`.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cache, Cpu, CpuSet, LogicalCpu, Size, Topology};
use crate::root::Root;

const CPUS: &str = "/sys/devices/system/cpu";
/// Enough for the first processor's paragraph; the kernel generates each further page on every read.
const FIRST_PARAGRAPH: usize = 8192;
/// The kinds of cores of hybrid processors: `/sys/devices/cpu_core/cpus` and so on.
const KINDS: [&str; 3] = ["core", "atom", "lowpower"];

pub(super) fn read(root: &Root) -> Cpu {
    let bytes = root.first_bytes("/proc/cpuinfo", FIRST_PARAGRAPH).unwrap_or_default();
    parse(&String::from_utf8_lossy(&bytes))
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
    }
}

/// Only the online logical CPUs.
pub(super) fn online(root: &Root) -> CpuSet {
    root.attribute(&format!("{CPUS}/online")).and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(super) fn topology(root: &Root) -> Topology {
    let set = |path: &str| root.attribute(path).and_then(|text| text.parse::<CpuSet>().ok());
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
    let isolated = set(&format!("{CPUS}/isolated")).unwrap_or_default();
    Topology { cpus: cpus.collect(), caches: caches(root, &online), online, isolated }
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
}
