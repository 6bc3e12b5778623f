//! What makes a domain fast on this very host: decided here in groups of settings, each group
//! written whole, and left alone where somebody else has changed it.

mod group;
mod guest;
mod memory;
mod numa;
mod pinning;
mod processor;
mod regions;
mod sharing;

use group::Spoken;
pub use group::{Change, Group};
pub(super) use group::{Settings, is_changed};
pub use pinning::Processors;

use super::resolve::Base;
use super::{Purpose, Request, Spec, Tuning, attach};

use crate::model::{Finding, Host, Libvirt, PciAddress};

/// What the decisions are made from.
pub(super) struct Question<'a> {
    /// The domain as it is.
    pub(super) base: &'a Base,
    /// What it is to have.
    pub(super) wanted: &'a Request,
    /// The host.
    pub(super) host: &'a Host,
    /// What libvirt can.
    pub(super) libvirt: &'a Libvirt,
    /// The functions that the guest is given.
    pub(super) passed: Vec<PciAddress>,
}

impl Question<'_> {
    /// The NUMA node of the first device that has one.
    fn node(&self) -> Option<u32> {
        self.host.devices(&self.passed).find_map(|device| device.numa_node)
    }

    /// Whether the domain is made anew from a template of vgapt's, and its tuning with it.
    fn is_ours(&self) -> bool {
        self.base.profile.is_some()
    }
}

/// Decides, and writes it into the spec; what there is to say comes back.
pub(super) fn decide(question: &Question<'_>, spec: &mut Spec) -> Vec<Finding> {
    if question.base.purpose == Purpose::Detach {
        let groups = attach::groups(question.base).into_iter();
        spec.changes.extend(groups.filter_map(|group| group::change(question.base, group, Vec::new(), Spoken::NotOf)));
        return Vec::new();
    }
    let placed = pinning::decide(question);
    let (numa, too_small) = numa::decide(question, &placed).map_or((None, None), |(settings, finding)| (Some(settings), finding));
    let settings = [
        (Group::Pinning, placed.settings()),
        (Group::Numa, numa),
        (Group::Guest, guest::settings(question)),
        (Group::Memory, memory::settings(question)),
        (Group::Sharing, sharing::settings(question)),
        (Group::Regions, regions::settings(question)),
        (Group::Processor, processor::settings(question, &placed)),
    ];
    let Tuning { pin, .. } = question.wanted.tuning;
    let spoken = pin && question.base.differs(|request| request.tuning.pin);
    for (group, settings) in settings {
        let spoken = if spoken && group == Group::Pinning { Spoken::Of } else { Spoken::NotOf };
        spec.changes.extend(settings.and_then(|settings| group::change(question.base, group, settings, spoken)));
    }
    spec.cpus = placed.processors;
    spec.placed = placed.pinning.filter(|_| spec.changes.iter().any(|change| change.group == Group::Pinning));
    let mut findings = placed.findings;
    findings.extend(too_small);
    findings.extend(sharing::too_old(question));
    findings.extend(guest::missing(question));
    findings
}
