//! How many processors a domain has, and where its threads run on the host, whoever pinned them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::CpuSet;
use crate::xml::Element;

/// More than QEMU gives any machine (its q35 takes 4096); a number out of an XML is bounded by it.
const MOST_VCPUS: u32 = 4096;
/// More threads than this for disks are left as they are.
const MOST_IOTHREADS: usize = 1024;

/// The number of virtual processors, one where nothing is said; `None` where it cannot be read.
pub fn vcpus(domain: Element<'_>) -> Option<u32> {
    domain.child("vcpu").map_or(Some(1), |vcpu| vcpu.text().parse().ok())
}

/// The CPUs that an existing domain's virtual ones are pinned to, and the emulator's. Those without a pin of
/// their own have the `cpuset` of `<vcpu>` (libvirt formatdomain, CPU allocation).
pub fn pins(domain: Element<'_>) -> (Vec<(u32, CpuSet)>, Option<CpuSet>) {
    let tune = domain.child("cputune");
    let common = domain.child("vcpu").and_then(|vcpu| cpu_set(vcpu, "cpuset"));
    let mut pins: BTreeMap<u32, CpuSet> = BTreeMap::new();
    if let Some(common) = &common {
        pins.extend((0..vcpus(domain).unwrap_or(1).min(MOST_VCPUS)).map(|vcpu| (vcpu, common.clone())));
    }
    let own = tune.into_iter().flat_map(|tune| tune.children_named("vcpupin"));
    pins.extend(own.filter_map(|pin| Some((pin.attribute("vcpu")?.parse().ok()?, cpu_set(pin, "cpuset")?))));
    let emulator = tune.and_then(|tune| tune.child("emulatorpin")).and_then(|pin| cpu_set(pin, "cpuset")).or(common);
    (pins.into_iter().collect(), emulator)
}

/// Whether somebody said where the virtual processors run.
pub fn are_pinned(domain: Element<'_>) -> bool {
    domain.at("cputune/vcpupin").is_some() || domain.child("vcpu").is_some_and(|vcpu| vcpu.attribute("cpuset").is_some())
}

/// A set of CPUs or nodes in an attribute: numbers, ranges, and behind `^` what is taken out again. `None` where
/// there is none, or libvirt would not take it either.
pub(super) fn cpu_set(element: Element<'_>, attribute: &str) -> Option<CpuSet> {
    let text = element.attribute(attribute)?;
    let (without, with): (Vec<&str>, Vec<&str>) = text.split(',').map(str::trim).partition(|part| part.starts_with('^'));
    let mut set: CpuSet = with.join(",").parse().ok()?;
    for part in without {
        let taken: CpuSet = part[1..].parse().ok()?;
        set.0.retain(|cpu| !taken.0.contains(cpu));
    }
    Some(set)
}

/// The numbers of the threads that serve the disks: those of `<iothreadids>`, and for the rest of `<iothreads>` the
/// lowest that are free, as libvirt fills them in (`virDomainIOThreadIDDefArrayInit`).
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
        let (pins, emulator) = pins(domain.root());
        (pins.iter().map(|(vcpu, cpus)| format!("{vcpu}:{cpus}")).collect(), emulator.map(|cpus| cpus.to_string()))
    }

    #[test]
    fn the_set_of_all_processors_pins_those_that_have_no_pin() {
        let both = "<vcpu cpuset='1-4,^3'>3</vcpu><cputune><vcpupin vcpu='1' cpuset='7'/></cputune>";
        assert_eq!(pinned(both), (vec!["0:1-2,4".into(), "1:7".into(), "2:1-2,4".into()], Some("1-2,4".into())));
        assert_eq!(pinned("<vcpu>3</vcpu><cputune><emulatorpin cpuset='0'/></cputune>"), (vec![], Some("0".into())));
        assert_eq!(pinned("<vcpu cpuset='0'>4294967295</vcpu>").0.len(), 4096);
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
