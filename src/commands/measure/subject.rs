//! What is known of a domain and its host before anything is measured.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain_xml;
use crate::measure::{CellPlace, Subject};
use crate::model::{CpuSet, Host, PciAddress, Sample, Thread};
use crate::topology::{self, CoreKinds, Count, PinningError, PinningRequest};
use crate::xml::Element;

pub(super) fn subject<'a>(name: &'a str, domain: Element<'_>, host: &Host, functions: &[PciAddress]) -> Subject<'a> {
    let vcpus = domain_xml::vcpus(domain);
    // Who may run on every host CPU is not pinned, whatever the domain says.
    let is_pin = |(_, cpus): &(u32, CpuSet)| !host.topology.online.0.is_subset(&cpus.0);
    let pins = domain_xml::pins(domain).map(|(vcpus, _)| vcpus.into_iter().filter(is_pin).collect());
    let demand = |vcpus: u32| PinningRequest { count: Count::Exactly(vcpus), kinds: CoreKinds::default(), node: None };
    let nodes: BTreeMap<u32, u32> = host.topology.cpus.iter().filter_map(|cpu| Some((cpu.cpu, cpu.node?))).collect();
    let has_several = nodes.values().min() != nodes.values().max();
    Subject {
        name,
        pins,
        online: host.topology.online.clone(),
        nodes: if has_several { nodes } else { BTreeMap::new() },
        cells: cells(domain),
        function_nodes: if has_several {
            host.devices(functions).filter_map(|device| Some((device.address, device.numa_node?))).collect()
        } else {
            BTreeMap::new()
        },
        isolated: host.topology.isolated.clone(),
        tickless: host.topology.nohz_full.clone().known().unwrap_or_default(),
        hides_cores: hides_cores(domain, host.cpu.is_amd()),
        of_a_cache: domain_xml::of_a_cache(domain),
        threads: domain_xml::threads(domain),
        pinnable: vcpus.map_or(Err(None), |vcpus| match topology::pin(&host.topology, &demand(vcpus)) {
            Ok(pinning) => Ok(pinning),
            Err(PinningError::TooFew(most)) => Err(Some(most)),
            Err(PinningError::Unknown | PinningError::OneCore) => Err(None),
        }),
        moves_interrupts: None,
        fixed: Vec::new(),
        left_interrupts: Vec::new(),
        left_processes: Vec::new(),
        functions: functions.iter().map(PciAddress::to_string).collect(),
        cores: topology::cores(&host.topology),
        memory: domain_xml::memory(domain),
        own: None,
        virsh: String::new(),
    }
}

/// How many host CPUs a virtual one owns at most: the threads of a core.
const THREADS_OF_A_CORE: usize = 2;

/// Only of virtual CPUs that are there, others may come later; and only where these own what they are pinned to: where that is
/// more than they can use, they move among others.
pub(super) fn keep_own_pins(subject: &mut Subject<'_>, samples: &[Sample]) {
    let Ok(pins) = &mut subject.pins else { return };
    let threads = samples.last().map(|sample| &sample.threads);
    let present: BTreeSet<u32> = threads.into_iter().flatten().filter_map(Thread::vcpu).collect();
    pins.retain(|vcpu, _| present.is_empty() || present.contains(vcpu));
    let all: BTreeSet<u32> = pins.values().flat_map(|pin| pin.0.iter().copied()).collect();
    if all.len() > pins.len() * THREADS_OF_A_CORE {
        pins.clear();
    }
}

/// Where the NUMA nodes of the guest are, as its `<numatune>` binds their memory.
fn cells(domain: Element<'_>) -> Vec<CellPlace> {
    let tune = domain.child("numatune");
    let nodes = |element: Element<'_>| element.attribute("nodeset")?.parse::<CpuSet>().ok();
    let common = tune.and_then(|tune| nodes(tune.child("memory")?));
    let place = |(number, cell): (usize, Element<'_>)| {
        let is_of = |node: &Element<'_>| node.attribute("cellid").as_deref() == Some(number.to_string().as_str());
        let own = tune.and_then(|tune| nodes(tune.children_named("memnode").find(is_of)?));
        CellPlace {
            vcpus: cell.attribute("cpus").and_then(|cpus| cpus.parse().ok()).unwrap_or_default(),
            nodes: own.or_else(|| common.clone()),
        }
    };
    domain_xml::cells(domain).enumerate().map(place).collect()
}

/// QEMU shows AMD's processor without `topoext`, also as `host-passthrough`, unless the domain asks for it.
fn hides_cores(domain: Element<'_>, is_amd: bool) -> bool {
    let Some(cpu) = domain.child("cpu").filter(|cpu| is_amd && cpu.attribute("mode").as_deref() == Some("host-passthrough")) else {
        return false;
    };
    let asks = |feature: Element<'_>| {
        let policy = feature.attribute("policy");
        feature.attribute("name").as_deref() == Some("topoext")
            && matches!(policy.as_deref(), None | Some("require" | "force" | "optional"))
    };
    !cpu.children_named("feature").any(asks)
}
