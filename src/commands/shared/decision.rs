//! Decides what to write into a domain, and what prevents it, from what was read; pure. For `define`, `attach` and
//! `detach`.

use std::cmp::Reverse;

use super::facts::Facts;
use crate::domain::{self, Base, Purpose, Resolved, Spec, Summary};
use crate::domain_xml;
use crate::model::Finding;
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::xml::Document;

/// What is about to be written.
pub(in crate::commands) struct Decision {
    pub(in crate::commands) spec: Spec,
    /// The domain's new XML.
    pub(in crate::commands) xml: String,
    /// The difference from the present domain, without vgapt's record.
    pub(in crate::commands) diff: String,
    /// The same in words.
    pub(in crate::commands) changes: Vec<String>,
    /// What the domain will be for its user.
    pub(in crate::commands) summary: Summary,
    /// The most severe one first.
    pub(in crate::commands) findings: Vec<Finding>,
    /// Further warnings about the cards that are passed through.
    pub(in crate::commands) card_warnings: Vec<Finding>,
    /// What others changed, and what therefore stays unchanged.
    pub(in crate::commands) manual_changes: Vec<String>,
}

/// Decides; `before` is the domain's present XML, `further` are findings that only the command knows of.
pub(in crate::commands) fn decide(base: &Base, facts: &Facts, before: Option<&str>, further: Vec<Finding>) -> Decision {
    let Resolved { spec, mut findings } = domain::resolve(base, &facts.host, &facts.files, &facts.libvirt);
    findings.extend(further);
    let merged = domain::merge(&base.domain, &spec);
    if base.purpose != Purpose::Detach {
        findings.extend(conflicts(base, facts, &spec, &merged));
    }
    // A refused request was not resolved completely, so this comparison would report false differences.
    if !findings.iter().any(|finding| finding.refuses(true)) {
        findings.extend(not_written(base, &spec, &merged));
    }
    // The card that was asked for is the picture; why there is none is said.
    if findings.iter().any(|finding| finding.code == "no-clear-choice") {
        findings.retain(|finding| finding.code != "no-display");
    }
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let mut card_warnings = card_warnings(facts, &spec);
    card_warnings.retain(|warning| !findings.iter().any(|finding| finding.code == warning.code));
    // What libvirt printed can be parsed: the base was made from it, unless it is replaced.
    let before = before.and_then(|before| Document::parse(before).ok());
    let in_diff = |before: &Document| output::diff(&base.name, &domain::without_record(before), &domain::without_record(&merged));
    Decision {
        manual_changes: domain::manual_changes(base, &spec),
        diff: before.as_ref().map(in_diff).unwrap_or_default(),
        changes: before.as_ref().map(|before| domain::changes(before, &merged, &facts.host)).unwrap_or_default(),
        summary: Summary::of(&merged, spec.record.as_ref(), &facts.host),
        xml: merged.to_string(),
        spec,
        findings,
        card_warnings,
    }
}

/// What the domain would take, and other domains and hooks take as well.
fn conflicts(base: &Base, facts: &Facts, spec: &Spec, merged: &Document) -> Vec<Finding> {
    let own = domain_xml::taken(merged, &facts.host);
    let mut findings: Vec<Finding> = domain::of_neighbours(spec, &own, &facts.other_domains).into_iter().collect();
    let new = own.without(&domain_xml::taken(&base.domain, &facts.host), base.is_new);
    findings.extend(domain::of_others(&new, &facts.other_domains, &facts.host, false, &facts.disk_paths()));
    if !new.functions.is_empty() {
        findings.extend_from_slice(&facts.other_hooks);
    }
    findings
}

/// What the merge could not write: an edit that would break the XML, or for which there was no place. A record
/// that cannot be read is left unchanged; that has its own finding.
fn not_written(base: &Base, spec: &Spec, merged: &Document) -> Option<Finding> {
    if base.unreadable.is_some() {
        return None;
    }
    let mut what = domain::differences(spec, merged);
    what.extend(merged.fault().map(|fault| format!("an edit would break the XML: {fault}")));
    (!what.is_empty()).then(|| {
        let message = format!("the request cannot be written into '{}': {}", base.name, what.join("; "));
        Finding::error("not-written", message, "omit that option, or correct the domain: virsh edit")
    })
}

fn card_warnings(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let is_passed = |card: &Assessment| spec.record.iter().flat_map(|record| &record.passed).any(|passed| passed.address == card.address);
    passthrough::assess(&facts.host).into_iter().filter(is_passed).flat_map(|card| card.warnings).collect()
}
