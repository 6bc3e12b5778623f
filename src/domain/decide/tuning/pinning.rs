//! How many processors, which of the host's they are, and how the guest sees them.

use super::question::Question;
use crate::domain::request::cpus::Cpus;
use crate::domain::request::tuning::Tuning;
use crate::domain::setting::{Group, Setting};
use crate::domain::spec::Processors;
use crate::domain_xml::{iothreads, vcpus};
use crate::model::{Finding, Topology};
use crate::topology::{Core, Count, Demand, GuestTopology, Pinning, Unpinned, cores, pin};

/// What was decided.
pub(super) struct Placed {
    /// What to write of number and topology; `None` leaves them.
    pub(super) processors: Option<Processors>,
    /// Who has which.
    pub(super) pinning: Option<Pinning>,
    /// Whether it was a question at all; else all stays as it is.
    pub(super) is_decided: bool,
    /// The numbers of the threads that serve the disks.
    iothreads: Vec<u32>,
    /// What there is to say.
    pub(super) findings: Vec<Finding>,
}

impl Placed {
    /// Nobody asked.
    fn as_it_is() -> Self {
        Self { processors: None, pinning: None, is_decided: false, iothreads: Vec::new(), findings: Vec::new() }
    }

    /// The elements of the pinning; `None` leaves them as they are.
    pub(super) fn settings(&self) -> Option<Vec<Setting>> {
        let Some(pinning) = &self.pinning else { return self.is_decided.then(Vec::new) };
        let vcpus = pinning.vcpus.iter().enumerate();
        let mut settings: Vec<Setting> =
            vcpus.map(|(vcpu, cpu)| Setting::new(format!("cputune/vcpupin[vcpu={vcpu}]")).with("cpuset", cpu)).collect();
        settings.push(Setting::new("cputune/emulatorpin").with("cpuset", &pinning.emulator));
        settings.extend(
            self.iothreads
                .iter()
                .map(|thread| Setting::new(format!("cputune/iothreadpin[iothread={thread}]")).with("cpuset", &pinning.emulator)),
        );
        Some(settings)
    }
}

/// Decides where a processor option says something new, and once for a domain of vgapt's own making.
pub(super) fn decide(question: &Question<'_>) -> Placed {
    let Question { base, wanted, host, .. } = question;
    let count_differs = base.differs(|request| request.cpus);
    if !question.is_ours()
        && !count_differs
        && !base.differs(|request| (request.tuning.pin, request.tuning.no_pin, request.tuning.core_kind))
    {
        return Placed::as_it_is();
    }
    let root = base.domain.root();
    let there = vcpus(root).unwrap_or(1);
    let count = match wanted.cpus {
        Some(Cpus::Auto) => Count::Auto,
        Some(Cpus::Count(count)) => Count::Exactly(count),
        None => Count::Exactly(there),
    };
    let Tuning { pin: asked, no_pin, core_kind, .. } = wanted.tuning;
    let demand = Demand { count, kinds: core_kind.map(Into::into).unwrap_or_default(), node: question.node() };
    let result = pin(&host.topology, &demand);
    let is_wanted = !no_pin && (asked || !question.passed.is_empty());
    let iothreads = iothreads(root);
    match result {
        Ok(pinning) if is_wanted => {
            let processors = Processors { count: u32::try_from(pinning.vcpus.len()).unwrap_or(u32::MAX), guest: pinning.guest };
            let findings = remarks(&pinning, &host.topology);
            Placed { processors: Some(processors), pinning: Some(pinning), is_decided: true, iothreads, findings }
        }
        result => {
            let is_hybrid = host.topology.cpus.iter().any(|cpu| cpu.kind.is_some());
            let findings = match (&result, count) {
                (Err(why), Count::Auto) => vec![unpinned(*why, true, is_hybrid)],
                (Err(why), _) if is_wanted && (asked || *why != Unpinned::Unknown) => vec![unpinned(*why, false, is_hybrid)],
                _ => Vec::new(),
            };
            let number = match (count, &result) {
                (Count::Exactly(count), _) => count,
                (Count::Auto, Ok(pinning)) => u32::try_from(pinning.vcpus.len()).unwrap_or(u32::MAX),
                (Count::Auto, Err(_)) => there,
            };
            // A domain that was pinned before saw threads that now are nobody's siblings.
            let was_pinned = base.last.as_ref().is_some_and(|last| last.settings.contains_key(&Group::Pinning));
            let flat = Processors { count: number, guest: GuestTopology::flat(number) };
            Placed { processors: (count_differs || was_pinned).then_some(flat), is_decided: true, findings, ..Placed::as_it_is() }
        }
    }
}

/// What is good to know of a pinning.
fn remarks(pinning: &Pinning, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    let online = topology.online.0.len();
    let count = pinning.vcpus.len();
    if let Some(room) = pinning.instead_of {
        let most = if room == 0 { String::new() } else { format!("--cpus {room} takes those; ") };
        findings.push(Finding::warning(
            "small-cores",
            format!(
                "{count} processors are pinned to the small cores {}: the performance cores have room for {room}, the host's own first core left out",
                pinning.taken
            ),
            format!("{most}--core-kind any takes both, which are not equally fast"),
        ));
    }
    if pinning.taken.0.len() > count {
        findings.push(Finding::warning(
            "half-a-core",
            format!("{count} processors leave a thread of the guest's last core unused: no core is shared with the host"),
            format!("--cpus {} uses it", pinning.taken.0.len()),
        ));
    }
    let are_siblings = |core: &Core| core.cpus.iter().filter(|cpu| pinning.vcpus.contains(cpu)).count() > 1;
    if pinning.taken.0.len() == count && pinning.guest.threads == 1 && cores(topology).iter().any(are_siblings) {
        findings.push(Finding::warning(
            "threads-as-cores",
            "cores with and without a second thread are mixed: the guest takes all threads for cores",
            "ask for fewer with --cpus, or for one kind with --core-kind",
        ));
    }
    if pinning.nodes.0.len() > 1 {
        findings.push(Finding::warning(
            "spans-nodes",
            format!("{count} processors are more than one NUMA node has to give: they are on the nodes {}", pinning.nodes),
            "ask for fewer with --cpus: memory of another node is slower",
        ));
    } else if pinning.caches > 1 {
        findings.push(Finding::warning(
            "spans-caches",
            format!("{count} processors are more than one L3 cache has to give: they are on {}", pinning.caches),
            "--cpus auto takes what one L3 cache has: going from one to another is slow",
        ));
    }
    if pinning.taken.0.len() * 2 > online && online - pinning.taken.0.len() < 2 {
        findings.push(Finding::warning(
            "one-thread-for-the-host",
            "one processor is left to the host, QEMU's own threads and the disks",
            "ask for fewer with --cpus",
        ));
    }
    findings
}

fn unpinned(why: Unpinned, is_number_ours: bool, is_hybrid: bool) -> Finding {
    let (message, remedy) = match why {
        Unpinned::Unknown => ("the host's cores are not known from here".to_owned(), "run vgapt on the host itself".to_owned()),
        Unpinned::OneCore => {
            ("the host has one core, which stays with the host".to_owned(), "leave it: the host's scheduler shares it".to_owned())
        }
        Unpinned::TooFew(0) => {
            ("the host has no cores of this kind, its own first core left out".to_owned(), "leave --core-kind out".to_owned())
        }
        Unpinned::TooFew(most) => (
            format!("the host's cores{} have room for {most}, its own first core left out", if is_hybrid { " of this kind" } else { "" }),
            format!(
                "--cpus {most} at most;{} --no-pin goes without",
                if is_hybrid { " with --core-kind any the small cores count too;" } else { "" }
            ),
        ),
    };
    if is_number_ours {
        Finding::fatal("no-number", format!("--cpus auto finds no number: {message}"), "give one: --cpus N")
    } else {
        Finding::warning("not-pinned", format!("the processors are not pinned: {message}"), remedy)
    }
}
