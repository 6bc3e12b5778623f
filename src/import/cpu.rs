//! The processor: its model, its features, what it tells Windows, and how many there are.

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

/// Features of processors as both QEMU and libvirt call them.
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
    "tsc_deadline",
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
        draft.drop(*other, "the first -cpu counts here");
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
    let strict = [draft.flag(index, "enforce"), draft.flag(index, "check")].contains(&Some(true));
    draft.attribute("cpu", "check", if strict { "full" } else { "none" });
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
        draft.notes.push("hv_passthrough: libvirt's mode 'passthrough' takes all that the kernel offers".into());
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

/// `+svm`, `-hypervisor`, `topoext=on`; what libvirt does not know goes to QEMU by another way.
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
        draft.notes.push(format!("the processor's {name} has no element, and is given to QEMU as -global"));
    }
}

/// How many; the topology.
fn count(draft: &mut Draft) -> Option<Fragment> {
    let given = draft.named(&["smp"]);
    let index = *given.last()?;
    let number = |draft: &mut Draft, name: &str| draft.take(index, name).and_then(|count| count.parse::<u32>().ok());
    let cpus = number(draft, "cpus");
    let parts = ["sockets", "dies", "clusters", "cores", "threads"].map(|name| number(draft, name));
    let most = number(draft, "maxcpus");
    let [sockets, dies, clusters, cores, threads] = parts;
    let product = |of: [Option<u32>; 5]| of.into_iter().map(|count| count.unwrap_or(1)).product::<u32>().max(1);
    let all = most.or(cpus).unwrap_or_else(|| product(parts));
    let online = cpus.unwrap_or(all);
    let mut vcpu = Fragment::new("vcpu").with("placement", "static");
    if online != all {
        vcpu = vcpu.with("current", online);
    }
    draft.put("", vcpu.text(all));
    for index in given {
        draft.native(index, "<vcpu>, <topology>");
    }
    if parts.iter().all(Option::is_none) {
        return None;
    }
    // What is not said is what is left: QEMU prefers cores.
    let (sockets, cores) = match (sockets, cores) {
        (Some(sockets), Some(cores)) => (sockets, cores),
        (Some(sockets), None) => (sockets, (all / product([Some(sockets), dies, clusters, threads, None])).max(1)),
        (None, cores) => {
            let cores = cores.unwrap_or_else(|| (all / product([dies, clusters, threads, None, None])).max(1));
            ((all / product([Some(cores), dies, clusters, threads, None])).max(1), cores)
        }
    };
    let mut topology = Fragment::new("topology").with("sockets", sockets);
    for (name, count) in [("dies", dies), ("clusters", clusters)] {
        if let Some(count) = count.filter(|count| *count > 1) {
            topology = topology.with(name, count);
        }
    }
    let topology = topology.with("cores", cores).with("threads", threads.unwrap_or(1));
    if product([Some(sockets), dies, clusters, Some(cores), threads]) == all {
        return Some(topology);
    }
    draft.notes.push(format!("the topology of -smp does not make {all} processors, and is left out"));
    None
}
