//! The number of vCPUs, their pinning to host CPUs, and the topology that the guest sees.

use std::collections::BTreeSet;

use super::placed::Placed;
use super::question::TuningInput;
use super::staying;
use crate::domain::edit::{Edit, Part, Policy};
use crate::domain::request::cpus::Cpus;
use crate::domain::request::tuning::Tuning;
use crate::domain::spec::Processors;
use crate::domain_xml::{are_pinned, iothreads, pinned_to_one, topology as seen_by_guest, vcpus};
use crate::model::{CpuSet, Finding, Size, Topology, shell_word};
use crate::topology::{Core, Count, GuestTopology, NO_SUCH_CORES, Pinning, PinningError, PinningRequest, cores, kinds, pin};

/// The elements of a pinning.
fn edits(pinning: &Pinning, iothreads: &[u32]) -> Vec<Edit> {
    let put = |path: String| Edit::put(Part::Pinning, path);
    let vcpus = pinning.vcpus.iter().enumerate();
    let vcpus = vcpus.map(|(vcpu, cpu)| put(format!("cputune/vcpupin[vcpu={vcpu}]")).with("cpuset", cpu));
    let emulator = put("cputune/emulatorpin".to_owned()).with("cpuset", &pinning.emulator);
    let iothread = |thread: &u32| put(format!("cputune/iothreadpin[iothread={thread}]")).with("cpuset", &pinning.emulator);
    vcpus.chain([emulator]).chain(iothreads.iter().map(iothread)).collect()
}

/// Decided if the request changes a CPU option, and once for a new domain from vgapt's template.
pub(super) fn decide(question: &TuningInput<'_>) -> Placed {
    let TuningInput { base, wanted, .. } = question;
    let count_differs = base.differs(|request| request.cpus);
    if !question.is_ours()
        && !count_differs
        && !base.differs(|request| (request.tuning.pin, request.tuning.no_pin, request.tuning.core_kind))
    {
        let findings = left_unpinned(question).into_iter().chain(staying::on_guests(question)).collect();
        return Placed { findings, beside: staying::of_io_threads(question), ..Placed::default() };
    }
    let root = base.domain.root();
    let there = vcpus(root).unwrap_or(1);
    let count = match wanted.cpus {
        Some(Cpus::Auto) => Count::Auto,
        Some(Cpus::Count(count)) => Count::Exactly(count),
        None => Count::Exactly(there),
    };
    let Tuning { pin: asked, no_pin, .. } = wanted.tuning;
    let demand = demand(question, count);
    let topology = &question.host.topology_beside(&question.passed);
    let result = pin(topology, &demand);
    let number = match (count, &result) {
        (Count::Exactly(count), _) => count,
        (Count::Auto, Ok(pinning)) => u32::try_from(pinning.vcpus.len()).unwrap_or(u32::MAX),
        (Count::Auto, Err(_)) => there,
    };
    let is_wanted = !no_pin && (asked || !question.passed.is_empty());
    let others = demand.kinds.others(topology);
    let findings = match (&result, count) {
        (Err(PinningError::NoSuchCores), _) => vec![no_such_cores(base.differs(|request| request.tuning.core_kind))],
        (Err(why), Count::Auto) => vec![unpinned(*why, true, others, topology)],
        (Err(why), _) if is_wanted && (asked || *why != PinningError::Unknown) => vec![unpinned(*why, false, others, topology)],
        _ => Vec::new(),
    };
    // Pins that cannot be chosen again are no reason to lose those that are there.
    let cannot_be_chosen = || result.is_err() && is_wanted && number == there && are_pinned(root);
    if staying::stay(base) || cannot_be_chosen() {
        return staying::beside(question, number).with(findings);
    }
    match result {
        Ok(pinning) if is_wanted => {
            let guest = pinning.guest;
            // What somebody made of the topology stays as long as it can.
            let stays = !base.is_new && number == there && pinned_to_one(root) == pinning.vcpus;
            let is_other = seen_by_guest(root) != Some([guest.sockets, guest.dies, guest.cores, guest.threads]);
            let findings = remarks(&pinning, topology);
            let threads = wanted.tuning.io_threads.filter(|_| base.differs(|request| request.tuning.io_threads));
            let threads = threads.map_or_else(|| iothreads(root), |number| (1..=number).collect());
            Placed {
                processors: (!stays).then_some(Processors { count: number, guest }),
                count: Some(number),
                keeps_topology: stays && is_other,
                edits: Some(edits(&pinning, &threads)),
                pinning: Some(pinning),
                is_decided: true,
                beside: Vec::new(),
                findings,
            }
        }
        _ => {
            // Without pinning, the threads that the guest saw so far are no longer siblings.
            let was_pinned = are_pinned(root) || base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
            let flat = Processors { count: number, guest: GuestTopology::flat(number) };
            let processors = (number != there || base.is_new || was_pinned).then_some(flat);
            let edits = if no_pin { vec![without_common_pin()] } else { Vec::new() };
            Placed { processors, count: Some(number), is_decided: true, edits: Some(edits), findings, ..Placed::default() }
        }
    }
}

/// The host CPUs of all threads that have no pin.
fn without_common_pin() -> Edit {
    Edit::put(Part::Pinning, "vcpu").with_or_without("cpuset", None::<&str>).policy(Policy::Helper)
}

fn demand(question: &TuningInput<'_>, count: Count) -> PinningRequest {
    let kinds = question.wanted.tuning.core_kind.map(Into::into).unwrap_or_default();
    PinningRequest { count, kinds, node: question.host.best_node(&question.passed) }
}

/// The first device comes to a domain that vgapt defined without one, and therefore without pinning, which it could have.
fn left_unpinned(question: &TuningInput<'_>) -> Option<Finding> {
    let TuningInput { base, wanted, passed, .. } = question;
    let is_first = base.last.as_ref().is_some_and(|last| last.passed.is_empty()) && !passed.is_empty();
    let root = base.domain.root();
    if !is_first || !question.is_of_template() || wanted.tuning.no_pin || are_pinned(root) {
        return None;
    }
    pin(&question.host.topology_beside(&question.passed), &demand(question, Count::Exactly(vcpus(root)?))).ok()?;
    Some(Finding::warning(
        "not-pinned",
        "the vCPUs are not pinned: the domain was defined without a passed device, and keeps its processors",
        format!("pin them: vgapt define {} --pin; or say that they are not to be: --no-pin", shell_word(&base.name)),
    ))
}

/// Warnings about a pinning.
fn remarks(pinning: &Pinning, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    let online = topology.online.0.len();
    let count = pinning.vcpus.len();
    if let Some(room) = pinning.instead_of {
        let most = if room == 0 { String::new() } else { format!("--cpus {room} fits on them; ") };
        let (fast, slow) = kinds(topology).unwrap_or(("performance", "efficiency"));
        findings.push(Finding::warning(
            "small-cores",
            format!(
                "{count} vCPUs are pinned to the {slow} cores {}: the {fast} cores have room for only {room} (the first core is kept for the host)",
                pinning.taken
            ),
            format!("{most}--core-kind any uses both kinds, which are not equally fast"),
        ));
    }
    if let Some((kib, room)) = pinning.larger_cache {
        findings.push(Finding::warning(
            "smaller-cache",
            format!(
                "{count} vCPUs are pinned to cores outside the largest L3 cache of {}, which has room for only {room}",
                Size::from_kib(kib)
            ),
            format!("use at most --cpus {room}, which fit on it"),
        ));
    }
    if let Some(room) = pinning.room_isolated {
        let outside = CpuSet(pinning.taken.0.difference(&topology.isolated.0).copied().collect());
        let all = CpuSet(pinning.taken.0.union(&topology.isolated.0).copied().collect());
        let fewer = if room == 0 { String::new() } else { format!("use at most --cpus {room}; or ") };
        findings.push(Finding::warning(
            "not-isolated",
            format!(
                "the vCPUs are pinned to the host CPUs {outside} too, which are not isolated: the isolated CPUs {} have room for only {room}",
                topology.isolated
            ),
            format!("{fewer}isolate all of them: vgapt prepare --isolate {all}"),
        ));
    }
    let are_siblings = |core: &Core| core.cpus.iter().filter(|cpu| pinning.vcpus.contains(cpu)).count() > 1;
    let sees_threads_as_cores = pinning.guest.threads == 1 && cores(topology).iter().any(are_siblings);
    if pinning.taken.0.len() > count {
        findings.push(half_a_core(pinning, topology, sees_threads_as_cores));
    }
    if pinning.taken.0.len() == count && sees_threads_as_cores {
        findings.push(Finding::warning(
            "threads-as-cores",
            "cores with and without a second thread are mixed, so that the guest sees all threads as cores",
            "use fewer with --cpus, or only one kind with --core-kind",
        ));
    }
    if pinning.nodes.0.len() < 2 && pinning.caches > 1 {
        findings.push(Finding::warning(
            "spans-caches",
            format!("{count} vCPUs do not fit on one L3 cache: they are spread over {}", pinning.caches),
            "use --cpus auto, which takes as many as fit on one L3 cache: communication between caches is slow",
        ));
    }
    if pinning.taken.0.len() * 2 > online && online - pinning.taken.0.len() < 2 {
        findings.push(Finding::warning(
            "one-thread-for-the-host",
            "only one CPU is left for the host, QEMU's own threads and disk I/O",
            "use fewer with --cpus",
        ));
    }
    findings
}

/// The guest's last core is only in part the guest's.
fn half_a_core(pinning: &Pinning, topology: &Topology, sees_threads_as_cores: bool) -> Finding {
    let (count, all) = (pinning.vcpus.len(), pinning.taken.0.len());
    let mut message = format!("{count} vCPUs leave one thread of the guest's last core unused, because guest and host do not share a core");
    let mut remedy = format!("use --cpus {all}, so that the guest uses it");
    if sees_threads_as_cores {
        message += "; the guest sees all threads as cores, and may put two busy tasks on one core";
        let threads: BTreeSet<usize> =
            cores(topology).iter().filter(|core| core.is_among(&pinning.taken)).map(|core| core.cpus.len()).collect();
        if threads.len() == 1 {
            remedy += " and sees which threads share a core";
        }
    }
    Finding::warning("half-a-core", message, remedy)
}

/// A kind was asked for that this processor does not have; `is_new`: now, so that it can be left out.
fn no_such_cores(is_new: bool) -> Finding {
    if is_new {
        return Finding::error("no-such-cores", NO_SUCH_CORES, "leave --core-kind out");
    }
    Finding::warning("no-such-cores", format!("pins are not changed: {NO_SUCH_CORES}"), "use all cores: --core-kind any")
}

/// `others` are the cores of a hybrid processor that were not asked for.
fn unpinned(why: PinningError, is_number_ours: bool, others: Option<&str>, topology: &Topology) -> Finding {
    let (mut message, mut remedy) = match why {
        PinningError::Unknown => ("the host's cores are unknown".to_owned(), "run vgapt on the host itself".to_owned()),
        PinningError::OneCore => (
            "the host has only one core, which is kept for the host".to_owned(),
            "no action needed: the host's scheduler shares the core".to_owned(),
        ),
        PinningError::NoSuchCores => (NO_SUCH_CORES.to_owned(), "leave --core-kind out".to_owned()),
        PinningError::TooFew(0) if others.is_none() => (
            "the host's cores have no room for a guest (the first core is kept for the host)".to_owned(),
            "run without pinning: --no-pin".to_owned(),
        ),
        PinningError::TooFew(0) => {
            ("the host has no cores of this kind (the first core is kept for the host)".to_owned(), "leave --core-kind out".to_owned())
        }
        PinningError::TooFew(most) => (
            format!(
                "the host's cores{} have room for only {most} (the first core is kept for the host)",
                if others.is_some() { " of this kind" } else { "" }
            ),
            format!(
                "use at most --cpus {most};{} or --no-pin to run without pinning",
                others.map_or_else(String::new, |others| format!(" or --core-kind any to use the {others} cores too;"))
            ),
        ),
    };
    if let Some((limit, more)) = topology.kept_from_guests().filter(|_| matches!(why, PinningError::TooFew(_))) {
        message = format!("{message}: {limit}");
        remedy = format!("{more}; or {remedy}");
    }
    if is_number_ours {
        Finding::error("no-number", format!("--cpus auto cannot choose a number: {message}"), "specify one: --cpus N")
    } else {
        Finding::warning("not-pinned", format!("the vCPUs are not pinned: {message}"), remedy)
    }
}
