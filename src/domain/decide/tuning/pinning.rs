//! The number of vCPUs, their pinning to host CPUs, and the topology that the guest sees.

use std::collections::BTreeSet;

use super::question::TuningInput;
use crate::domain::edit::{Edit, Part};
use crate::domain::request::cpus::Cpus;
use crate::domain::request::tuning::Tuning;
use crate::domain::spec::Processors;
use crate::domain_xml::{are_pinned, iothreads, vcpus};
use crate::model::{Finding, Topology, shell_word};
use crate::topology::{Core, Count, GuestTopology, Pinning, PinningError, PinningRequest, cores, pin};

/// The decision.
#[derive(Default)]
pub(super) struct Placed {
    /// Number and topology to write; `None` leaves them unchanged.
    pub(super) processors: Option<Processors>,
    /// The pinning.
    pub(super) pinning: Option<Pinning>,
    /// Whether anything was decided; else everything stays unchanged.
    pub(super) is_decided: bool,
    /// The elements of the pinning; `None` leaves them unchanged.
    pub(super) edits: Option<Vec<Edit>>,
    /// Warnings and errors.
    pub(super) findings: Vec<Finding>,
}

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
    let TuningInput { base, wanted, host, .. } = question;
    let count_differs = base.differs(|request| request.cpus);
    if !question.is_ours()
        && !count_differs
        && !base.differs(|request| (request.tuning.pin, request.tuning.no_pin, request.tuning.core_kind, request.tuning.io_threads))
    {
        return Placed { findings: left_unpinned(question).into_iter().collect(), ..Placed::default() };
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
    let result = pin(&host.topology, &demand);
    let is_wanted = !no_pin && (asked || !question.passed.is_empty());
    match result {
        Ok(pinning) if is_wanted => {
            let processors = Processors { count: u32::try_from(pinning.vcpus.len()).unwrap_or(u32::MAX), guest: pinning.guest };
            let findings = remarks(&pinning, &host.topology);
            let threads = wanted.tuning.io_threads.filter(|_| base.differs(|request| request.tuning.io_threads));
            let threads = threads.map_or_else(|| iothreads(root), |number| (1..=number).collect());
            let edits = Some(edits(&pinning, &threads));
            Placed { processors: Some(processors), pinning: Some(pinning), is_decided: true, edits, findings }
        }
        result => {
            let others = demand.kinds.others().filter(|_| host.topology.cpus.iter().any(|cpu| cpu.kind.is_some()));
            let findings = match (&result, count) {
                (Err(why), Count::Auto) => vec![unpinned(*why, true, others)],
                (Err(why), _) if is_wanted && (asked || *why != PinningError::Unknown) => vec![unpinned(*why, false, others)],
                _ => Vec::new(),
            };
            let number = match (count, &result) {
                (Count::Exactly(count), _) => count,
                (Count::Auto, Ok(pinning)) => u32::try_from(pinning.vcpus.len()).unwrap_or(u32::MAX),
                (Count::Auto, Err(_)) => there,
            };
            // Without pinning, the threads that the guest saw so far are no longer siblings.
            let was_pinned = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning));
            let flat = Processors { count: number, guest: GuestTopology::flat(number) };
            let processors = (count_differs || was_pinned).then_some(flat);
            Placed { processors, pinning: None, is_decided: true, edits: Some(Vec::new()), findings }
        }
    }
}

fn demand(question: &TuningInput<'_>, count: Count) -> PinningRequest {
    let kinds = question.wanted.tuning.core_kind.map(Into::into).unwrap_or_default();
    PinningRequest { count, kinds, node: question.host.best_node(&question.passed) }
}

/// The first device comes to a domain that vgapt defined without one, and therefore without pinning, which it could have.
fn left_unpinned(question: &TuningInput<'_>) -> Option<Finding> {
    let TuningInput { base, wanted, host, passed, .. } = question;
    let is_first = base.last.as_ref().is_some_and(|last| last.passed.is_empty()) && !passed.is_empty();
    let root = base.domain.root();
    if !is_first || !question.is_of_template() || wanted.tuning.no_pin || are_pinned(root) {
        return None;
    }
    pin(&host.topology, &demand(question, Count::Exactly(vcpus(root)?))).ok()?;
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
        findings.push(Finding::warning(
            "small-cores",
            format!(
                "{count} vCPUs are pinned to the efficiency cores {}: the performance cores have room for only {room} (the first core is kept for the host)",
                pinning.taken
            ),
            format!("{most}--core-kind any uses both kinds, which are not equally fast"),
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

/// `others` are the cores of a hybrid processor that were not asked for.
fn unpinned(why: PinningError, is_number_ours: bool, others: Option<&str>) -> Finding {
    let (message, remedy) = match why {
        PinningError::Unknown => ("the host's cores are unknown".to_owned(), "run vgapt on the host itself".to_owned()),
        PinningError::OneCore => (
            "the host has only one core, which is kept for the host".to_owned(),
            "no action needed: the host's scheduler shares the core".to_owned(),
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
    if is_number_ours {
        Finding::error("no-number", format!("--cpus auto cannot choose a number: {message}"), "specify one: --cpus N")
    } else {
        Finding::warning("not-pinned", format!("the vCPUs are not pinned: {message}"), remedy)
    }
}
