//! The number of vCPUs of a domain, and the host CPUs to which its threads are pinned, by vgapt or by hand.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Clocks, CpuSet, OwnPins};
use crate::xml::Element;

/// QEMU's maximum (4096 for q35); limits a number that is read from XML.
const MOST_VCPUS: u32 = 4096;
/// If there are more I/O threads than this, they are not pinned.
const MOST_IOTHREADS: usize = 1024;

/// The number of vCPUs, 1 if there is no `<vcpu>`; `None` if it cannot be read.
pub fn vcpus(domain: Element<'_>) -> Option<u32> {
    domain.child("vcpu").map_or(Some(1), |vcpu| vcpu.text().parse().ok())
}

/// What the domain asks of a feature of the guest's processor: `require` unless it says otherwise; `None` where it does not name it.
fn policy<'d>(domain: Element<'d>, feature: &str) -> Option<Cow<'d, str>> {
    let mut features = domain.child("cpu").into_iter().flat_map(|cpu| cpu.children_named("feature"));
    let named = features.find(|named| named.attribute("name").as_deref() == Some(feature))?;
    Some(named.attribute("policy").unwrap_or(Cow::Borrowed("require")))
}

/// Whether the guest's processor says that it runs under no hypervisor.
pub fn is_without_hypervisor(domain: Element<'_>) -> bool {
    policy(domain, "hypervisor").as_deref() == Some("disable")
}

/// The clocks that the guest finds. QEMU has an HPET unless the domain says no.
pub fn clocks(domain: Element<'_>) -> Clocks {
    let timer = |name: &str| {
        let mut timers = domain.child("clock").into_iter().flat_map(|clock| clock.children_named("timer"));
        timers.find(|timer| timer.attribute("name").as_deref() == Some(name))?.attribute("present")
    };
    let is_hidden = domain.at("features/kvm/hidden").is_some_and(|hidden| hidden.attribute("state").as_deref() == Some("on"));
    let is_seen = !is_without_hypervisor(domain);
    Clocks {
        kvm: is_seen && !is_hidden,
        hyper_v: is_seen && timer("hypervclock").as_deref() == Some("yes"),
        hpet: timer("hpet").as_deref() != Some("no"),
    }
}

/// Whether the guest cannot tell which threads share a core of an AMD processor: QEMU shows it without `topoext`, also as
/// `host-passthrough`, unless the domain asks for it.
pub fn hides_amd_cores(domain: Element<'_>) -> bool {
    let is_passed = domain.child("cpu").is_some_and(|cpu| cpu.attribute("mode").as_deref() == Some("host-passthrough"));
    is_passed && !matches!(policy(domain, "topoext").as_deref(), Some("require" | "force" | "optional"))
}

/// How many threads a core has, as the guest sees it; without a topology QEMU makes each a core of its own.
pub fn threads(domain: Element<'_>) -> u32 {
    domain.at("cpu/topology").and_then(|topology| topology.attribute("threads")?.parse().ok()).unwrap_or(1)
}

/// How many virtual CPUs share an L3 cache, as the guest sees it: those of a die (`legacy_l3_cache` of QEMU); without a
/// topology libvirt makes each a socket (`qemuBuildSmpCommandLine`). `None` where the domain shows the guest other caches.
pub fn of_a_cache(domain: Element<'_>) -> Option<u32> {
    if domain.at("cpu/cache").is_some_and(|cache| cache.attribute("mode").as_deref() != Some("emulate")) {
        return None;
    }
    of_a_die(domain)
}

/// How many virtual CPUs a die has; `None` where that cannot be read.
pub fn of_a_die(domain: Element<'_>) -> Option<u32> {
    let Some(topology) = domain.at("cpu/topology") else { return Some(1) };
    let number = |name: &str| topology.attribute(name).map_or(Some(1), |number| number.parse::<u32>().ok());
    Some(["clusters", "cores", "threads"].iter().try_fold(1_u32, |all, name| Some(all.saturating_mul(number(name)?)))?.max(1))
}

/// The limit for the number of CPUs in all pins of a domain together: 1024 vCPUs, each pinned to 1024 host CPUs.
const MOST_PINNED: usize = 1 << 20;

/// The host CPUs that the vCPUs and the emulator of a domain are pinned to. Those without their own pin use
/// the `cpuset` of `<vcpu>` (libvirt formatdomain, CPU allocation).
///
/// # Errors
/// If they name more CPUs than any machine has.
#[expect(clippy::type_complexity, reason = "two parts of one answer, which no caller keeps together")]
pub fn pins(domain: Element<'_>) -> Result<(Vec<(u32, CpuSet)>, Option<CpuSet>), String> {
    let mut sets = Sets::default();
    let tune = domain.child("cputune");
    let common = domain.child("vcpu").map(|vcpu| sets.of(vcpu)).transpose()?.flatten();
    let mut pins: BTreeMap<u32, CpuSet> = BTreeMap::new();
    if let Some(common) = &common {
        for vcpu in 0..vcpus(domain).unwrap_or(1).min(MOST_VCPUS) {
            sets.count(common)?;
            pins.insert(vcpu, common.clone());
        }
    }
    for pin in tune.into_iter().flat_map(|tune| tune.children_named("vcpupin")) {
        let Some(vcpu) = pin.attribute("vcpu").and_then(|vcpu| vcpu.parse().ok()) else { continue };
        if let Some(set) = sets.of(pin)? {
            pins.insert(vcpu, set);
        }
    }
    let emulator = tune.and_then(|tune| tune.child("emulatorpin")).map(|pin| sets.of(pin)).transpose()?.flatten();
    Ok((pins.into_iter().collect(), emulator.or(common)))
}

/// The host CPUs of QEMU's own threads, likewise.
///
/// # Errors
/// If they name more CPUs than any machine has.
pub fn own_pins(domain: Element<'_>) -> Result<OwnPins, String> {
    let mut sets = Sets::default();
    let common = domain.child("vcpu").map(|vcpu| sets.of(vcpu)).transpose()?.flatten();
    let mut own = OwnPins { emulator: pins(domain)?.1, iothreads: BTreeMap::new() };
    for id in iothreads(domain) {
        own.iothreads.extend(common.clone().map(|common| (id, common)));
    }
    for pin in domain.child("cputune").into_iter().flat_map(|tune| tune.children_named("iothreadpin")) {
        let id = pin.attribute("iothread").and_then(|id| id.parse().ok());
        own.iothreads.extend(id.zip(sets.of(pin)?));
    }
    Ok(own)
}

/// The host CPUs of QEMU's own threads that are those of a vCPU too, where each vCPU has one of its own.
pub fn on_guests_cpus(domain: Element<'_>) -> OwnPins {
    let guests: BTreeSet<u32> = pinned_to_one(domain).into_iter().collect();
    let of_guests = |cpus: CpuSet| Some(CpuSet(cpus.0.intersection(&guests).copied().collect())).filter(|cpus| !cpus.0.is_empty());
    let OwnPins { emulator, iothreads } = own_pins(domain).unwrap_or_default();
    let iothreads = iothreads.into_iter().filter_map(|(id, cpus)| Some((id, of_guests(cpus)?))).collect();
    OwnPins { emulator: emulator.and_then(of_guests), iothreads }
}

/// The topology that the guest sees, as `sockets`, `dies`, `cores` and `threads`; `None` where it has none, or one that cannot be
/// read.
pub fn topology(domain: Element<'_>) -> Option<[u32; 4]> {
    let topology = domain.at("cpu/topology")?;
    let number = |name: &str| topology.attribute(name).map_or(Some(1), |number| number.parse::<u32>().ok());
    let cores = number("cores")?.saturating_mul(number("clusters")?);
    Some([number("sockets")?, number("dies")?, cores, number("threads")?])
}

/// The CPU sets of a domain's pins. Equal texts are parsed once, and the total number of CPUs is limited.
#[derive(Default)]
struct Sets {
    read: HashMap<String, Option<CpuSet>>,
    counted: usize,
}

impl Sets {
    fn of(&mut self, element: Element<'_>) -> Result<Option<CpuSet>, String> {
        let Some(text) = element.attribute("cpuset") else { return Ok(None) };
        let set = self.read.entry(text.into_owned()).or_insert_with_key(|text| parsed(text)).clone();
        if let Some(set) = &set {
            self.count(set)?;
        }
        Ok(set)
    }

    fn count(&mut self, set: &CpuSet) -> Result<(), String> {
        self.counted += set.0.len();
        let fits = self.counted <= MOST_PINNED;
        fits.then_some(()).ok_or_else(|| {
            format!("its pins name more than {MOST_PINNED} host CPUs in total, which no machine has; correct them with virsh edit")
        })
    }
}

/// How many host CPUs a vCPU can have for itself: those of a core.
const THREADS_OF_A_CORE: usize = 2;

/// Those of the host CPUs that so many vCPUs are pinned to which they own: none where these are more than the threads of a core
/// for each, which then may run there among others.
pub fn owned(vcpus: usize, pinned: CpuSet) -> CpuSet {
    if pinned.0.len() > vcpus * THREADS_OF_A_CORE { CpuSet::default() } else { pinned }
}

/// The host CPU of each vCPU, where each is pinned to only one; else none.
pub fn pinned_to_one(domain: Element<'_>) -> Vec<u32> {
    let pins = pins(domain).map(|(pins, _)| pins).unwrap_or_default();
    let are_all = u32::try_from(pins.len()).ok() == vcpus(domain) && pins.iter().all(|(_, cpus)| cpus.0.len() == 1);
    pins.into_iter().flat_map(|(_, cpus)| cpus.0).filter(|_| are_all).collect()
}

/// Whether the domain pins its vCPUs.
pub fn are_pinned(domain: Element<'_>) -> bool {
    domain.at("cputune/vcpupin").is_some() || domain.child("vcpu").is_some_and(|vcpu| vcpu.attribute("cpuset").is_some())
}

/// A set of CPUs or nodes in an attribute: numbers and ranges; `^` excludes one. `None` if
/// the attribute is missing or invalid for libvirt too.
pub(super) fn cpu_set(element: Element<'_>, attribute: &str) -> Option<CpuSet> {
    parsed(&element.attribute(attribute)?)
}

fn parsed(text: &str) -> Option<CpuSet> {
    let (without, with): (Vec<&str>, Vec<&str>) = text.split(',').map(str::trim).partition(|part| part.starts_with('^'));
    let mut set = CpuSet::of_all(with).ok()?;
    let taken = CpuSet::of_all(without.into_iter().filter_map(|part| part.strip_prefix('^'))).ok()?;
    set.0.retain(|cpu| !taken.0.contains(cpu));
    Some(set)
}

/// The ids of the I/O threads: those of `<iothreadids>`, and for the rest of `<iothreads>` the
/// lowest free ids, as libvirt assigns them (`virDomainIOThreadIDDefArrayInit`).
pub fn iothreads(domain: Element<'_>) -> Vec<u32> {
    let named = domain.child("iothreadids").into_iter().flat_map(|ids| ids.children_named("iothread"));
    let mut ids: BTreeSet<u32> = named.filter_map(|thread| thread.attribute("id")?.parse().ok()).collect();
    let count: usize = domain.child("iothreads").and_then(|threads| threads.text().parse().ok()).unwrap_or_default();
    if ids.len().max(count) > MOST_IOTHREADS {
        return Vec::new();
    }
    let mut free = 1..;
    while ids.len() < count {
        ids.extend(free.next());
    }
    ids.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn pinned(text: &str) -> (Vec<String>, Option<String>) {
        let domain = Document::parse(&format!("<domain>{text}</domain>")).unwrap();
        let (pins, emulator) = pins(domain.root()).unwrap();
        (pins.iter().map(|(vcpu, cpus)| format!("{vcpu}:{cpus}")).collect(), emulator.map(|cpus| cpus.to_string()))
    }

    #[test]
    fn the_set_of_all_processors_pins_those_that_have_no_pin() {
        let both = "<vcpu cpuset='1-4,^3'>3</vcpu><cputune><vcpupin vcpu='1' cpuset='7'/></cputune>";
        assert_eq!(pinned(both), (vec!["0:1-2,4".into(), "1:7".into(), "2:1-2,4".into()], Some("1-2,4".into())));
        assert_eq!(pinned("<vcpu>3</vcpu><cputune><emulatorpin cpuset='0'/></cputune>"), (vec![], Some("0".into())));
        assert_eq!(pinned("<vcpu cpuset='0'>4294967295</vcpu>").0.len(), 4096);
    }

    /// A small XML cannot use gigabytes of memory, and pins beyond the limit are an error.
    #[test]
    fn pins_without_bound_are_unknown() {
        let pins_of = |domain: &Document| pins(domain.root()).map(|(pins, _)| pins.len());
        let all = |count: u32| {
            let pins: String = (0..count).map(|vcpu| format!("<vcpupin vcpu='{vcpu}' cpuset='0-65535'/>")).collect();
            let domain = Document::parse(&format!("<domain><cputune>{pins}</cputune></domain>")).unwrap();
            pins_of(&domain)
        };
        let begun = std::time::Instant::now();
        assert_eq!(all(16), Ok(16));
        assert!(all(3000).is_err_and(|why| why.contains("more than 1048576 host CPUs")));
        let common = Document::parse("<domain><vcpu cpuset='0-65535'>4096</vcpu></domain>").unwrap();
        assert!(pins_of(&common).is_err());
        let odd = format!("0-3{}", ",^0-65535".repeat(3000));
        let odd = Document::parse(&format!("<domain><vcpu cpuset='{odd}'>1</vcpu></domain>")).unwrap();
        assert_eq!(pins_of(&odd), Ok(1));
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn threads_for_disks_have_the_numbers_that_they_are_given() {
        let numbers = |text: &str| iothreads(Document::parse(&format!("<domain>{text}</domain>")).unwrap().root());
        assert_eq!(numbers("<iothreads>2</iothreads>"), [1, 2]);
        assert_eq!(numbers("<iothreads>3</iothreads><iothreadids><iothread id='4'/><iothread id='1'/></iothreadids>"), [1, 2, 4]);
        assert_eq!(numbers("<iothreadids><iothread id='9'/></iothreadids>"), [9]);
        assert!(numbers("").is_empty() && numbers("<iothreads>4294967295</iothreads>").is_empty());
    }
}
