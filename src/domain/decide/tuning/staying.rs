//! Pins that stay as they are, because somebody else made or changed them: what the guest sees of its processors stays with
//! them, and what they leave without a pin, or on the guest's own CPUs, is said.

use super::placed::Placed;
use super::question::TuningInput;
use crate::domain::base::Base;
use crate::domain::edit::{Change, Edit, Part, Policy};
use crate::domain::spec::Processors;
use crate::domain_xml::{are_pinned, iothreads, on_guests_cpus, own_pins, pinned_to_one, pins, vcpus};
use crate::model::{CpuSet, Finding, shell_word};
use crate::topology::{GuestTopology, cores, seen_on};

/// Whether somebody else made or changed the pins, and the request does not speak of them.
pub(super) fn stay(base: &Base) -> bool {
    let root = base.domain.root();
    let written = base.last.as_ref().map(|last| &last.written).filter(|written| written.has(Part::Pinning));
    let are_others = written.map_or_else(|| are_pinned(root), |written| written.is_changed(Part::Pinning, root));
    are_others && !are_spoken_of(base)
}

/// Whether the request asks for pins, or for none, and did not before: then it does not matter who made them.
pub(super) fn are_spoken_of(base: &Base) -> bool {
    let tuning = base.wanted.tuning;
    (tuning.pin || tuning.no_pin) && base.differs(|request| (request.tuning.pin, request.tuning.no_pin))
}

/// So many vCPUs beside pins that stay.
pub(super) fn beside(question: &TuningInput<'_>, number: u32) -> Placed {
    let root = question.base.domain.root();
    let there = vcpus(root).unwrap_or(1);
    let processors = (number != there).then(|| {
        let own: Vec<u32> = pinned_to_one(root).into_iter().take(usize::try_from(number).unwrap_or(usize::MAX)).collect();
        let are_all = u32::try_from(own.len()) == Ok(number);
        let guest = if are_all { seen_on(&question.host.topology, &own) } else { GuestTopology::flat(number) };
        Processors { count: number, guest }
    });
    // libvirt drops the pins of vCPUs that are gone.
    let gone = (number..there).map(|vcpu| removed(format!("cputune/vcpupin[vcpu={vcpu}]")));
    let edits = gone.chain(of_io_threads(question)).collect();
    let findings = unpinned(question.base, there, number).into_iter().chain(on_guests(question)).collect();
    Placed { processors, count: Some(number), beside: edits, findings, ..Placed::default() }
}

/// The vCPUs that are added would run on all CPUs of the host, those of the others included.
fn unpinned(base: &Base, there: u32, number: u32) -> Option<Finding> {
    let root = base.domain.root();
    let has_common = root.child("vcpu").is_some_and(|vcpu| vcpu.attribute("cpuset").is_some());
    if number <= there || has_common || pins(root).is_ok_and(|(pins, _)| pins.is_empty()) {
        return None;
    }
    let added = CpuSet((there..number).collect());
    let name = shell_word(&base.name);
    Some(Finding::blocked(
        "vcpus-without-pins",
        format!(
            "the vCPUs {added} would have no pins, and run on any core of the host: the pins of the others were made by hand and stay as they are"
        ),
        format!("let vgapt pin all: vgapt define {name} --cpus {number} {}", base.option_that_pins()),
    ))
}

/// The pins of I/O threads that are added beside pins that stay, which are those of QEMU's other threads; those of threads that are
/// gone go too, because libvirt refuses them.
pub(super) fn of_io_threads(question: &TuningInput<'_>) -> Vec<Edit> {
    let TuningInput { base, wanted, .. } = question;
    let Some(number) = wanted.tuning.io_threads.filter(|_| base.differs(|request| request.tuning.io_threads)) else { return Vec::new() };
    let root = base.domain.root();
    let path = |thread: u32| format!("cputune/iothreadpin[iothread={thread}]");
    let there = iothreads(root);
    let gone = there.iter().filter(|thread| **thread > number).map(|thread| removed(path(*thread)));
    let Ok(own) = own_pins(root) else { return gone.collect() };
    let rest = own.emulator.as_ref().map(|cpus| without_guests(question, cpus)).filter(|rest| !rest.0.is_empty());
    // What somebody else's pins get beside them is not vgapt's to remember: it would take these for its own.
    let is_ours = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
    let policy = if is_ours { Policy::Remembered } else { Policy::Checked };
    let added = (1..=number).filter(|thread| !own.iothreads.contains_key(thread));
    let added = added.filter_map(|thread| Some(Edit::put(Part::Pinning, path(thread)).with("cpuset", rest.as_ref()?).policy(policy)));
    gone.chain(added).collect()
}

fn removed(path: String) -> Edit {
    Edit { change: Change::Remove, ..Edit::put(Part::Pinning, path) }
}

/// The CPUs of the cores that the vCPUs have for themselves.
fn guests_cores(question: &TuningInput<'_>) -> CpuSet {
    let vcpus = CpuSet(pinned_to_one(question.base.domain.root()).into_iter().collect());
    CpuSet(cores(&question.host.topology).into_iter().filter(|core| core.is_among(&vcpus)).flat_map(|core| core.cpus).collect())
}

/// These host CPUs without the guest's; if none are left, all others of the host.
fn without_guests(question: &TuningInput<'_>, cpus: &CpuSet) -> CpuSet {
    let guests = guests_cores(question);
    let apart = |cpus: &CpuSet| CpuSet(cpus.0.difference(&guests.0).copied().collect());
    Some(apart(cpus)).filter(|rest| !rest.0.is_empty()).unwrap_or_else(|| apart(&question.host.topology.online))
}

/// QEMU's own threads may run on the CPUs that somebody has given to the vCPUs.
pub(super) fn on_guests(question: &TuningInput<'_>) -> Option<Finding> {
    let base = question.base;
    let shared = on_guests_cpus(base.domain.root());
    let all = shared.emulator.iter().chain(shared.iothreads.values());
    let cpus = CpuSet(all.flat_map(|cpus| &cpus.0).copied().collect());
    if cpus.0.is_empty() || !stay(base) {
        return None;
    }
    let own = own_pins(base.domain.root()).ok()?;
    let (uri, name) = (shell_word(&base.uri), shell_word(&base.name));
    let emulator = shared
        .emulator
        .and(own.emulator)
        .map(|now| format!("virsh -c {uri} emulatorpin {name} {} --config", without_guests(question, &now)));
    let iothreads = own.iothreads.iter().filter(|(id, _)| shared.iothreads.contains_key(id));
    let iothreads = iothreads.map(|(id, now)| format!("virsh -c {uri} iothreadpin {name} {id} {} --config", without_guests(question, now)));
    let commands: Vec<String> = emulator.into_iter().chain(iothreads).collect();
    Some(Finding::warning(
        "own-threads-on-guests-cores",
        format!(
            "QEMU's own threads are pinned to the host CPUs {cpus} too, which vCPUs are pinned to: they stop these vCPUs while they run"
        ),
        format!("give them others: {}; or let vgapt pin all: vgapt define {name} {}", commands.join(" && "), base.option_that_pins()),
    ))
}
