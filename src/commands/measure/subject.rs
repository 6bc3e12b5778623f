//! What is known of a domain and its host before anything is measured.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain_xml;
use crate::measure::Subject;
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
        own_pins: domain_xml::own_pins(domain),
        online: host.topology.online.clone(),
        nodes: if has_several { nodes } else { BTreeMap::new() },
        cells: domain_xml::cell_places(domain),
        function_nodes: if has_several {
            host.devices(functions).filter_map(|device| Some((device.address, device.numa_node?))).collect()
        } else {
            BTreeMap::new()
        },
        isolated: host.topology.isolated.clone(),
        tickless: host.topology.nohz_full.clone().known().unwrap_or_default(),
        clocks: domain_xml::clocks(domain),
        hides_cores: host.cpu.is_amd() && domain_xml::hides_amd_cores(domain),
        of_a_cache: domain_xml::of_a_cache(domain),
        threads: domain_xml::threads(domain),
        pinnable: vcpus.map_or(Err(None), |vcpus| match topology::pin(&host.topology, &demand(vcpus)) {
            Ok(pinning) => Ok(pinning),
            Err(PinningError::TooFew(most)) => Err(Some(most)),
            Err(PinningError::Unknown | PinningError::OneCore | PinningError::NoSuchCores) => Err(None),
        }),
        moves_interrupts: None,
        fixed: Vec::new(),
        left_interrupts: Vec::new(),
        left_processes: Vec::new(),
        functions: functions.to_vec(),
        cores: topology::cores(&host.topology),
        memory: domain_xml::memory(domain),
        own: None,
        virsh: String::new(),
    }
}

/// Keeps the pins of virtual CPUs that are there, as others may come later; and none where they do not own what they are pinned to.
pub(super) fn keep_owned_pins(subject: &mut Subject<'_>, samples: &[Sample]) {
    let Ok(pins) = &mut subject.pins else { return };
    let threads = samples.last().map(|sample| &sample.threads);
    let present: BTreeSet<u32> = threads.into_iter().flatten().filter_map(Thread::vcpu).collect();
    pins.retain(|vcpu, _| present.is_empty() || present.contains(vcpu));
    let all = CpuSet(pins.values().flat_map(|pin| pin.0.iter().copied()).collect());
    if domain_xml::owned(pins.len(), all).0.is_empty() {
        pins.clear();
    }
}
