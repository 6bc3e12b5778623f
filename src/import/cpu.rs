//! The processor: model, features, Hyper-V enlightenments, number and topology.

use super::draft::Draft;
use super::props::same_name;
use super::table;
use crate::xml::Fragment;

/// CPU features that libvirt 9.0 and later versions know (`cpu_map/x86_features.xml`), and QEMU, under the same name.
const FEATURES: &str = "3dnow 3dnowext 3dnowprefetch abm acpi adx aes amd-no-ssb amd-ssbd amd-stibp amx-bf16 amx-int8 amx-tile apic arat \
     arch-capabilities arch-lbr avic avx avx-vnni avx2 avx512-4fmaps avx512-4vnniw avx512-bf16 avx512-fp16 avx512-vp2intersect \
     avx512-vpopcntdq avx512bitalg avx512bw avx512cd avx512dq avx512er avx512f avx512ifma avx512pf avx512vbmi avx512vbmi2 avx512vl \
     avx512vnni bmi1 bmi2 bus-lock-detect cid cldemote clflush clflushopt clwb clzero cmov cmp_legacy core-capability cr8legacy cx16 \
     cx8 dca de decodeassists ds ds_cpl dtes64 erms est extapic f16c flushbyasid fma fma4 fpu fsgsbase fsrm fxsr fxsr_opt gfni hle ht \
     hypervisor ia64 ibpb ibrs ibrs-all ibs intel-pt intel-pt-lip invpcid invtsc la57 lahf_lm lbrv lm lwp mca mce md-clear mds-no \
     misalignsse mmx mmxext monitor movbe movdir64b movdiri mpx msr mtrr nodeid_msr npt nrip-save nx osvw pae pat pause-filter pbe \
     pcid pclmuldq pcommit pdcm pdpe1gb perfctr_core perfctr_nb pfthreshold pge pks pku pn pni popcnt pschange-mc-no pse pse36 \
     rdctl-no rdpid rdrand rdseed rdtscp rsba rtm sep serialize sgx sgx-debug sgx-exinfo sgx-kss sgx-mode64 sgx-provisionkey \
     sgx-tokenkey sgx1 sgx2 sgxlc sha-ni skinit skip-l1dfl-vmentry smap smep smx spec-ctrl split-lock-detect ss ssb-no ssbd sse sse2 \
     sse4.1 sse4.2 sse4a ssse3 stibp svm svm-lock svme-addr-chk syscall taa-no tbm tce tm tm2 topoext tsc tsc-deadline tsc-scale \
     tsc_adjust tsx-ctrl tsx-ldtrk umip v-vmsave-vmload vaes vgif virt-ssbd vmcb-clean vme vmx vpclmulqdq waitpkg wbnoinvd wdt x2apic \
     xfd xgetbv1 xop xsave xsavec xsaveerptr xsaveopt xsaves xtpr";
/// QEMU's other names (`x86_cpu_initfn` of `target/i386/cpu.c`), and one that libvirt spells otherwise.
const ALIASES: [(&str, &str); 7] = [
    ("sse3", "pni"),
    ("pclmulqdq", "pclmuldq"),
    ("sse4-1", "sse4.1"),
    ("sse4-2", "sse4.2"),
    ("xd", "nx"),
    ("ffxsr", "fxsr_opt"),
    ("i64", "lm"),
];

/// libvirt's name of a feature, if it knows it.
pub(super) fn known(feature: &str) -> Option<&'static str> {
    let feature = ALIASES.iter().find(|(alias, _)| same_name(alias, feature)).map_or(feature, |(_, name)| *name);
    FEATURES.split(' ').find(|known| same_name(known, feature))
}

pub(super) fn translate(draft: &mut Draft) {
    let topology = count(draft);
    pins(draft);
    let given = draft.last_of("cpu");
    if let Some(index) = given {
        model(draft, index);
    }
    if let Some(topology) = topology {
        draft.domain.push("cpu", topology);
    }
    let Some(index) = given else { return };
    draft.fill_domain(index, "cpu", "");
    draft.fill_domain(index, "hyperv", "hv-");
    draft.fill_domain(index, "kvm", "");
    if draft.flag(index, "hv-passthrough") == Some(true) {
        // libvirt's schema allows no single enlightenments beside it.
        let hyperv = draft.domain.below("features/hyperv");
        *hyperv = Fragment::new("hyperv").with("mode", "passthrough");
        draft.notes.push("hv_passthrough: libvirt's mode 'passthrough' enables all enlightenments that the kernel supports".into());
    } else if draft.domain.at("features/hyperv").is_some() {
        draft.domain.set("features/hyperv@mode", "custom");
    }
    // A limit alone is passed to QEMU: whether it counts is a default of the machine type.
    if let Some(of_host) = draft.flag(index, "host-phys-bits") {
        let limit = draft.take(index, "host-phys-bits-limit");
        draft.domain.set("cpu/maxphysaddr@mode", if of_host { "passthrough" } else { "emulate" });
        if let Some(limit) = limit.filter(|_| of_host) {
            draft.domain.set("cpu/maxphysaddr@limit", limit);
        }
    }
    features(draft, index);
    draft.native(index, "<cpu>, <hyperv>, <kvm>");
}

fn model(draft: &mut Draft, index: usize) {
    match draft.take(index, "model").unwrap_or_default().as_str() {
        "host" => draft.domain.set("cpu@mode", "host-passthrough"),
        "max" => draft.domain.set("cpu@mode", "maximum"),
        model => {
            draft.domain.set("cpu@mode", "custom");
            draft.domain.set("cpu@match", "exact");
            draft.domain.push("cpu", Fragment::new("model").with("fallback", "allow").text(model));
        }
    }
    // `check` only warns about features that the host lacks; `enforce` refuses to start. libvirt's 'full' goes
    // further: it refuses features that QEMU adds, such as `hypervisor`.
    let strict = draft.flag(index, "enforce") == Some(true);
    draft.take(index, "check");
    draft.domain.set("cpu@check", if strict { "partial" } else { "none" });
}

/// A feature of `-cpu` and its value: `+svm`, `-hypervisor`, `topoext=on`.
pub(super) fn feature<'p>(name: &'p str, value: &'p str) -> (&'p str, &'p str) {
    match name.split_at_checked(1) {
        Some(("+", feature)) => (feature, "on"),
        Some(("-", feature)) => (feature, "off"),
        _ => (name, value),
    }
}

/// Features in the order in which QEMU takes them, so that of one that is named twice the last counts: `name=` first, then each
/// `+name`, then each `-name` (`x86_cpu_parse_featurestr`).
pub(super) fn ordered(mut features: Vec<(String, String)>) -> Vec<(String, String)> {
    features.sort_by_key(|(name, _)| ["+", "-"].iter().position(|sign| name.starts_with(sign)).map_or(0, |rank| rank + 1));
    features
}

/// Sets the features; those that libvirt does not know are passed to QEMU with -global.
fn features(draft: &mut Draft, index: usize) {
    let mut known_ones: Vec<(&str, &str)> = Vec::new();
    for (name, value) in ordered(draft.options[index].props.left()) {
        draft.take(index, &name);
        let (feature, value) = feature(&name, &value);
        if let Some(known) = known(feature) {
            let policy = if table::is_on(value) { "require" } else { "disable" };
            match known_ones.iter_mut().find(|(name, _)| *name == known) {
                Some((_, before)) => *before = policy,
                None => known_ones.push((known, policy)),
            }
            continue;
        }
        let driver = match draft.domain.at("cpu").and_then(|cpu| cpu.attribute("mode")) {
            Some("host-passthrough") => "host-x86_64-cpu",
            Some("maximum") => "max-x86_64-cpu",
            _ => "x86_64-cpu",
        };
        draft.pass("global", &format!("{driver}.{}={value}", feature.replace('_', "-")));
        draft.notes.push(format!("{name} of -cpu has no libvirt element, and is passed to QEMU with -global"));
    }
    for (name, policy) in known_ones {
        draft.domain.push("cpu", Fragment::new("feature").with("policy", policy).with("name", name));
    }
}

/// `-vcpu` of patched QEMU versions: pins a vCPU to host CPUs.
fn pins(draft: &mut Draft) {
    for index in draft.named(&["vcpu"]) {
        let [vcpu, set] = ["vcpunum", "affinity"].map(|name| draft.take(index, name));
        match vcpu.zip(set) {
            Some((vcpu, set)) => {
                draft.domain.push("cputune", Fragment::new("vcpupin").with("vcpu", vcpu).with("cpuset", set));
                draft.native(index, "<vcpupin>");
            }
            None => draft.drop(index, "QEMU does not have this option: <vcpupin> pins vCPUs"),
        }
    }
}

/// Whether a device is a vCPU.
pub(super) fn is_processor(driver: &str) -> bool {
    driver.ends_with("-x86_64-cpu") || driver.ends_with("-i386-cpu")
}

/// How many vCPUs are plugged in as devices. libvirt does that by itself, and starts no domain with one that it does not know.
fn plugged(draft: &mut Draft) -> u32 {
    let all: Vec<usize> = (0..draft.options.len()).filter(|index| draft.options[*index].driver().is_some_and(is_processor)).collect();
    for index in &all {
        for place in ["driver", "id", "node-id", "socket-id", "die-id", "cluster-id", "core-id", "thread-id"] {
            draft.take(*index, place);
        }
        draft.native(*index, "<vcpu>");
    }
    u32::try_from(all.len()).unwrap_or(u32::MAX)
}

/// Sets the number of vCPUs; returns the topology.
fn count(draft: &mut Draft) -> Option<Fragment> {
    let given = draft.named(&["smp"]);
    let index = *given.last()?;
    let zero = COUNTS.into_iter().find(|name| draft.peek(index, name).is_some_and(|count| count.parse() == Ok(0)));
    let given_counts = COUNTS.map(|name| draft.number(index, name).unwrap_or(0));
    let machine = draft.domain.at("os/type").and_then(|kind| kind.attribute("machine"));
    let counts = counts(given_counts, machine.is_some_and(prefers_sockets));
    let [cpus, .., mut all] = counts;
    // As QEMU does (`machine_parse_smp_config`).
    if cpus > all {
        let why = format!("its {cpus} CPUs are more than its maxcpus={all}, and QEMU refuses it");
        draft.refuse(index, &why, "correct the numbers in the script, or those that were set for it");
    }
    if let Some(name) = zero {
        draft.refuse(index, &format!("{name}=0: QEMU refuses a count of 0"), "leave it out, or give it a number");
    }
    let places = product(&counts);
    if places == u64::from(cpus) && cpus < all {
        draft.notes.push(format!(
            "maxcpus={all} is left out: the topology of -smp has {cpus} places, and QEMU refuses it (before 6.2 it allowed the rest to be plugged in later)"
        ));
        all = cpus;
    }
    draft.domain.set("vcpu@placement", "static");
    let online = cpus.saturating_add(plugged(draft)).min(all);
    if online != all {
        draft.domain.set("vcpu@current", online);
    }
    draft.domain.set("vcpu", all);
    for index in given {
        draft.native(index, "<vcpu>, <topology>");
    }
    if places != u64::from(all) {
        draft.notes.push(format!("the topology of -smp does not add up to {all} CPUs, and QEMU refuses it: it is left out"));
        return None;
    }
    let places = COUNTS.into_iter().zip(counts).take(6).skip(1).filter(|(name, count)| *count > 1 || !["dies", "clusters"].contains(name));
    Some(places.fold(Fragment::new("topology"), |topology, (name, count)| topology.with(name, count)))
}

/// The counts of `-smp`, in the order of [`counts`].
const COUNTS: [&str; 7] = ["cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus"];

/// All counts of an `-smp`, by name, also those that it leaves to QEMU.
pub(super) fn counts_of<'v>(said: impl Fn(&str) -> Option<&'v str>, machine: &str) -> [(&'static str, u32); 7] {
    let given = COUNTS.map(|name| said(name).and_then(|count| count.parse().ok()).unwrap_or(0));
    let counts = counts(given, prefers_sockets(machine));
    std::array::from_fn(|at| (COUNTS[at], counts[at]))
}

/// How many CPUs the places of a topology have.
fn product(counts: &[u32; 7]) -> u64 {
    counts[1..6].iter().copied().map(u64::from).fold(1, u64::saturating_mul)
}

/// Computes missing values (0) as QEMU does (`machine_parse_smp_config` of `hw/core/machine-smp.c`).
fn counts([cpus, sockets, dies, clusters, cores, threads, most]: [u32; 7], prefer_sockets: bool) -> [u32; 7] {
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
    let places = product(&[0, sockets, dies, clusters, cores, threads, 0]);
    let all = if most > 0 {
        most
    } else if cpus > 0 {
        cpus
    } else {
        u32::try_from(places).unwrap_or(u32::MAX)
    };
    // The topology covers the CPUs present; more can be plugged in (QEMU before 6.2).
    let online = if cpus > 0 { cpus } else { u32::try_from(places).unwrap_or(0).min(all) };
    [if online > 0 { online } else { all }, sockets, dies, clusters, cores, threads, all]
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
            (counts[0], counts[6], [counts[1], counts[4], counts[5]])
        };
        // cpus, sockets, dies, clusters, cores, threads, maxcpus
        assert_eq!(arranged([4, 1, 0, 0, 2, 0, 0], false), (4, 4, [1, 2, 2]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 0, 0], false), (8, 8, [1, 8, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 0, 0], true), (8, 8, [8, 1, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 4, 0, 0], false), (8, 8, [2, 4, 1]));
        assert_eq!(arranged([8, 0, 0, 0, 0, 2, 0], false), (8, 8, [1, 4, 2]));
        assert_eq!(arranged([0, 1, 0, 0, 4, 2, 0], false), (8, 8, [1, 4, 2]));
        assert_eq!(arranged([2, 0, 0, 0, 0, 0, 8], false), (2, 8, [1, 8, 1]));
        assert!(product(&counts([3, 1, 0, 0, 2, 0, 0], false)) == 2);
        assert!(prefers_sockets("pc-q35-6.1") && !prefers_sockets("pc-i440fx-7.2") && !prefers_sockets("q35"));
    }
}
