//! One line at the end: ready, or the one next step.

use serde::Serialize;

use super::check::{Check, State, Step};
use super::prepared::Prepared;
use crate::model::Severity;
use crate::passthrough::Verdict;

/// Whether a host is ready, or what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether nothing is missing.
    pub ready: bool,
    /// What kind of step comes next.
    pub step: Step,
    /// The next step.
    pub next: String,
    /// In one line.
    pub summary: String,
}

impl Summary {
    pub(super) fn of(prepared: &Prepared, checks: &[Check]) -> Self {
        let count = |state: State| checks.iter().filter(|check| check.state == state).count();
        let missing = count(State::Missing);
        // The first of the most fundamental ones.
        let first = checks.iter().filter(|check| check.state == State::Missing).min_by_key(|check| check.step.unwrap_or(Step::Software));
        let Some(first) = first else {
            let next = define(prepared);
            let blind = if checks.iter().any(|check| ["host-blind", "display-kept-out"].contains(&check.code)) {
                ", and the host has no display"
            } else {
                ""
            };
            let unknown = match count(State::Unknown) {
                0 => String::new(),
                1 => ", as far as could be determined (1 unknown)".to_owned(),
                many => format!(", as far as could be determined ({many} unknown)"),
            };
            return Self { ready: true, step: Step::Define, summary: format!("ready{blind}{unknown}; next: {next}"), next };
        };
        let step = first.step.unwrap_or(Step::Software);
        let refused = step == Step::Prepare && prepared.refused() && first.is_by_prepare();
        // Where prepare writes nothing, the lines for the system's own configuration come next.
        let by_hand = prepared.generated().filter(|finding| step == Step::Prepare && finding.severity > Severity::Warning);
        let next = if let Some(finding) = by_hand {
            finding.remedy.clone()
        } else if refused {
            format!("{} (it shows what blocks it)", first.remedy)
        } else {
            first.remedy.clone()
        };
        let things = if missing == 1 { "1 thing is missing".to_owned() } else { format!("{missing} things are missing") };
        Self { ready: false, step, summary: format!("not ready: {things}; next: {next}"), next }
    }
}

fn define(prepared: &Prepared) -> String {
    let cards: String = prepared
        .facts
        .cards
        .iter()
        .filter(|card| card.verdict != Verdict::Unknown)
        .map(|card| format!(" --gpu {}", card.address.short()))
        .collect();
    format!("vgapt define NAME{cards}")
}
