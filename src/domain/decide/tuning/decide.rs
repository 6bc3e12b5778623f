//! Decides all groups of settings in turn.

use super::change::{Origin, change};
use super::question::TuningInput;
use super::{guest, memory, numa, pinning, processor, regions, sharing};
use crate::domain::base::Purpose;
use crate::domain::decide::attach;
use crate::domain::request::tuning::Tuning;
use crate::domain::setting::Group;
use crate::domain::spec::Spec;
use crate::model::Finding;

/// Decides the settings, writes them into the spec, and returns the findings.
pub(crate) fn decide(question: &TuningInput<'_>, spec: &mut Spec) -> Vec<Finding> {
    if question.base.purpose == Purpose::Detach {
        let groups = attach::groups(question.base).into_iter();
        spec.changes.extend(groups.filter_map(|group| change(question.base, group, Vec::new(), Origin::Derived)));
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
    let is_requested = pin && question.base.differs(|request| request.tuning.pin);
    for (group, settings) in settings {
        let origin = if is_requested && group == Group::Pinning { Origin::Requested } else { Origin::Derived };
        spec.changes.extend(settings.and_then(|settings| change(question.base, group, settings, origin)));
    }
    spec.cpus = placed.processors;
    spec.placed = placed.pinning.filter(|_| spec.changes.iter().any(|change| change.group == Group::Pinning));
    let mut findings = placed.findings;
    findings.extend(too_small);
    findings.extend(sharing::too_old(question));
    findings.extend(guest::missing(question));
    findings
}
