//! The processor: model, features, Hyper-V enlightenments, number and topology.

use super::draft::Draft;
use crate::xml::Fragment;

/// Hyper-V's enlightenments that are on or off: QEMU's name, libvirt's.
const ENLIGHTENMENTS: [(&str, &str); 13] = [
    ("hv-relaxed", "relaxed"),
    ("hv-vapic", "vapic"),
    ("hv-vpindex", "vpindex"),
    ("hv-runtime", "runtime"),
    ("hv-synic", "synic"),
    ("hv-reset", "reset"),
    ("hv-frequencies", "frequencies"),
    ("hv-reenlightenment", "reenlightenment"),
    ("hv-tlbflush", "tlbflush"),
    ("hv-ipi", "ipi"),
    ("hv-evmcs", "evmcs"),
    ("hv-avic", "avic"),
    ("hv-emsr-bitmap", "emsr_bitmap"),
];

/// CPU features with the same name in QEMU and libvirt.
const FEATURES: &[&str] = &[
    "topoext",
    "invtsc",
    "svm",
    "vmx",
    "hypervisor",
    "smep",
    "smap",
    "pcid",
    "aes",
    "avx",
    "avx2",
    "x2apic",
    "tsc-deadline",
    "pdpe1gb",
    "rdtscp",
    "ssbd",
    "amd-ssbd",
    "virt-ssbd",
    "arch-capabilities",
    "md-clear",
    "stibp",
    "ibpb",
    "spec-ctrl",
    "xsaves",
    "xsavec",
    "xsave",
    "npt",
    "fsgsbase",
    "bmi1",
    "bmi2",
    "f16c",
    "fma",
    "movbe",
    "popcnt",
    "sse4.1",
    "sse4.2",
    "ssse3",
    "erms",
    "rdrand",
    "rdseed",
    "la57",
    "umip",
    "pku",
    "clwb",
    "monitor",
    "perfctr_core",
    "nx",
    "ht",
];

pub(super) fn translate(draft: &mut Draft) {
    let topology = count(draft);
    pins(draft);
    let given = draft.named(&["cpu"]);
    let Some(&index) = given.first() else {
        if let Some(topology) = topology {
            draft.put("cpu", topology);
        }
        return;
    };
    model(draft, index);
    if let Some(topology) = topology {
        draft.put("cpu", topology);
    }
    enlightenments(draft, index);
    kvm(draft, index);
    details(draft, index);
    features(draft, index);
    draft.native(index, "<cpu>, <hyperv>, <kvm>");
    for other in &given[1..] {
        draft.drop(*other, "only the first -cpu is used");
    }
}

fn model(draft: &mut Draft, index: usize) {
    let model = draft.take(index, "model").unwrap_or_default();
    match model.as_str() {
        "host" => draft.attribute("cpu", "mode", "host-passthrough"),
        "max" => draft.attribute("cpu", "mode", "maximum"),
        _ => {
            draft.attribute("cpu", "mode", "custom");
            draft.attribute("cpu", "match", "exact");
            draft.put("cpu", Fragment::new("model").with("fallback", "allow").text(&model));
        }
    }
    // `check` only warns about features that the host lacks; `enforce` refuses to start. libvirt's 'full' goes
    // further: it refuses features that QEMU adds, such as `hypervisor`.
    let strict = draft.flag(index, "enforce") == Some(true);
    draft.take(index, "check");
    draft.attribute("cpu", "check", if strict { "partial" } else { "none" });
    if let Some(is_on) = draft.flag(index, "migratable") {
        draft.attribute("cpu", "migratable", if is_on { "on" } else { "off" });
    }
}

fn enlightenments(draft: &mut Draft, index: usize) {
    let on = |name: &str| Fragment::new(name).with("state", "on");
    for (name, element) in ENLIGHTENMENTS {
        if draft.flag(index, name) == Some(true) {
            draft.put("hyperv", on(element));
        }
    }
    if draft.flag(index, "hv-passthrough") == Some(true) {
        draft.attribute("hyperv", "mode", "passthrough");
        draft.notes.push("hv_passthrough: libvirt's mode 'passthrough' enables all enlightenments that the kernel supports".into());
    }
    if let Some(retries) = draft.take(index, "hv-spinlocks") {
        let number = retries.strip_prefix("0x").map_or_else(|| retries.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok());
        draft.put("hyperv", on("spinlocks").with("retries", number.unwrap_or(8191)));
    }
    if let Some(id) = draft.take(index, "hv-vendor-id") {
        draft.put("hyperv", on("vendor_id").with("value", id));
    }
    let direct = draft.flag(index, "hv-stimer-direct") == Some(true);
    if draft.flag(index, "hv-stimer") == Some(true) || direct {
        let stimer = on("stimer");
        draft.put("hyperv", if direct { stimer.child(on("direct")) } else { stimer });
    }
    if draft.flag(index, "hv-time") == Some(true) {
        draft.put("clock", Fragment::new("timer").with("name", "hypervclock").with("present", "yes"));
    }
}

fn kvm(draft: &mut Draft, index: usize) {
    if draft.flag(index, "kvm") == Some(false) {
        draft.put("kvm", Fragment::new("hidden").with("state", "on"));
    }
    for (name, element) in [("kvm-hint-dedicated", "hint-dedicated"), ("kvm-poll-control", "poll-control")] {
        if draft.flag(index, name) == Some(true) {
            draft.put("kvm", Fragment::new(element).with("state", "on"));
        }
    }
    if let Some(is_on) = draft.flag(index, "pmu") {
        draft.put("features", Fragment::new("pmu").with("state", if is_on { "on" } else { "off" }));
    }
}

fn details(draft: &mut Draft, index: usize) {
    if draft.flag(index, "host-cache-info") == Some(true) {
        draft.put("cpu", Fragment::new("cache").with("mode", "passthrough"));
    } else if draft.flag(index, "l3-cache") == Some(true) {
        draft.put("cpu", Fragment::new("cache").with("level", 3).with("mode", "emulate"));
    }
    draft.take(index, "l3-cache");
    let limit = draft.take(index, "host-phys-bits-limit");
    if draft.flag(index, "host-phys-bits") == Some(true) {
        let bits = Fragment::new("maxphysaddr").with("mode", "passthrough");
        draft.put("cpu", if let Some(limit) = limit { bits.with("limit", limit) } else { bits });
    }
}

/// `+svm`, `-hypervisor`, `topoext=on`; features that libvirt does not know are passed to QEMU with -global.
fn features(draft: &mut Draft, index: usize) {
    for (name, value) in draft.options[index].props.left() {
        draft.take(index, &name);
        let (feature, is_on) = match name.split_at_checked(1) {
            Some(("+", feature)) => (feature, true),
            Some(("-", feature)) => (feature, false),
            _ => (name.as_str(), matches!(value.as_str(), "on" | "true" | "yes")),
        };
        let known = FEATURES.iter().find(|known| known.replace('_', "-") == feature.replace('_', "-"));
        if let Some(known) = known {
            let policy = if is_on { "require" } else { "disable" };
            draft.put("cpu", Fragment::new("feature").with("policy", policy).with("name", known));
            continue;
        }
        let model = draft.attributes.iter().find(|(element, name, _)| (*element, *name) == ("cpu", "mode")).map(|(.., mode)| mode.as_str());
        let driver = match model {
            Some("host-passthrough") => "host-x86_64-cpu",
            Some("maximum") => "max-x86_64-cpu",
            _ => "x86_64-cpu",
        };
        let value = if name.starts_with(['+', '-']) { if is_on { "on" } else { "off" }.to_owned() } else { value };
        draft.arguments.extend(["-global".into(), format!("{driver}.{}={value}", feature.replace('_', "-"))]);
        draft.notes.push(format!("{name} of -cpu has no libvirt element, and is passed to QEMU with -global"));
    }
}

/// `-vcpu` of patched QEMU versions: pins a vCPU to host CPUs.
fn pins(draft: &mut Draft) {
    for index in draft.named(&["vcpu"]) {
        let [vcpu, set] = ["vcpunum", "affinity"].map(|name| draft.take(index, name));
        match vcpu.zip(set) {
            Some((vcpu, set)) => {
                draft.put("cputune", Fragment::new("vcpupin").with("vcpu", vcpu).with("cpuset", set));
                draft.native(index, "<vcpupin>");
            }
            None => draft.drop(index, "QEMU does not have this option: <vcpupin> pins vCPUs"),
        }
    }
}

/// Sets the number of vCPUs; returns the topology.
fn count(draft: &mut Draft) -> Option<Fragment> {
    let given = draft.named(&["smp"]);
    let index = *given.last()?;
    let number = |draft: &mut Draft, name: &str| draft.take(index, name).and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    let given_counts = ["cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus"].map(|name| number(draft, name));
    let machine = draft.parts("os").first().and_then(|kind| kind.attributes().iter().find(|(name, _)| name == "machine").cloned());
    let counts = counts(given_counts, machine.is_some_and(|(_, machine)| prefers_sockets(&machine)));
    let mut vcpu = Fragment::new("vcpu").with("placement", "static");
    if counts.online != counts.all {
        vcpu = vcpu.with("current", counts.online);
    }
    draft.put("", vcpu.text(counts.all));
    for index in given {
        draft.native(index, "<vcpu>, <topology>");
    }
    if counts.product() != u64::from(counts.all) {
        let what = if counts.online < counts.all { " (before 6.2 it allowed the rest to be plugged in later)" } else { "" };
        let note = format!("the topology of -smp does not add up to {} CPUs, and QEMU refuses it{what}: it is left out", counts.all);
        draft.notes.push(note);
        return None;
    }
    let mut topology = Fragment::new("topology").with("sockets", counts.sockets);
    for (name, count) in [("dies", counts.dies), ("clusters", counts.clusters)] {
        if count > 1 {
            topology = topology.with(name, count);
        }
    }
    Some(topology.with("cores", counts.cores).with("threads", counts.threads))
}

/// The number of CPUs and their topology.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    online: u32,
    all: u32,
    sockets: u32,
    dies: u32,
    clusters: u32,
    cores: u32,
    threads: u32,
}

impl Counts {
    fn product(&self) -> u64 {
        [self.sockets, self.dies, self.clusters, self.cores, self.threads].into_iter().map(u64::from).fold(1, u64::saturating_mul)
    }
}

/// Computes missing values (0) as QEMU does (`machine_parse_smp_config` of `hw/core/machine-smp.c`).
fn counts([cpus, sockets, dies, clusters, cores, threads, most]: [u32; 7], prefer_sockets: bool) -> Counts {
    let (dies, clusters) = (dies.max(1), clusters.max(1));
    let (mut sockets, mut cores, mut threads) = (sockets, cores, threads);
    if cpus == 0 && most == 0 {
        (sockets, cores, threads) = (sockets.max(1), cores.max(1), threads.max(1));
    } else {
        let all = if most > 0 { most } else { cpus };
        let rest = |of: [u32; 4]| all / of.into_iter().fold(1, u32::saturating_mul);
        if prefer_sockets && sockets == 0 {
            (cores, threads) = (cores.max(1), threads.max(1));
            sockets = rest([dies, clusters, cores, threads]);
        } else if cores == 0 {
            (sockets, threads) = (sockets.max(1), threads.max(1));
            cores = rest([sockets, dies, clusters, threads]);
        } else if sockets == 0 {
            threads = threads.max(1);
            sockets = rest([dies, clusters, cores, threads]);
        }
        if threads == 0 {
            threads = rest([sockets, dies, clusters, cores]);
        }
    }
    let mut counts = Counts { online: cpus, all: most, sockets, dies, clusters, cores, threads };
    if counts.all == 0 {
        counts.all = if cpus > 0 { cpus } else { u32::try_from(counts.product()).unwrap_or(u32::MAX) };
    }
    // The topology covers the CPUs present; more can be plugged in (QEMU before 6.2).
    if counts.online == 0 && u64::from(counts.all) > counts.product() {
        counts.online = u32::try_from(counts.product()).unwrap_or(0);
    }
    if counts.online == 0 {
        counts.online = counts.all;
    }
    counts
}

/// Machines up to 6.1 prefer sockets to cores (`smp_props.prefer_sockets` in `hw/i386/pc_*.c`).
fn prefers_sockets(machine: &str) -> bool {
    let version = machine.rsplit('-').next().and_then(|version| version.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    version.is_some_and(|version| version < (6, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_computed_as_qemu_does() {
        let arranged = |said: [u32; 7], old: bool| {
            let counts = counts(said, old);
            (counts.online, counts.all, [counts.sockets, counts.cores, counts.threads])
        };
        // cpus, sockets, dies, clusters, cores, threads, maxcpus
        assert_eq!(arranged([4, 1, 0, 0, 2, 0, 0], false), (4, 4, [1, 2, 2]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 0, 0], false), (8, 8, [1, 8, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 0, 0], true), (8, 8, [8, 1, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 4, 0, 0], false), (8, 8, [2, 4, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 2, 0], false), (8, 8, [1, 4, 2]));
        assert_eq!(arranged([0, 1, 0, 0, 4, 2, 0], false), (8, 8, [1, 4, 2]));
        assert_eq!(arranged([2, 0, 0, 0, 0, 0, 8], false), (2, 8, [1, 8, 1]));
        assert!(counts([3, 1, 0, 0, 2, 0, 0], false).product() == 2);
        assert!(prefers_sockets("pc-q35-6.1") && !prefers_sockets("pc-i440fx-7.2") && !prefers_sockets("q35"));
    }
}
