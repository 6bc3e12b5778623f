//! Findings, as text.

use super::style::{BAD, WARNING, paint};
use crate::model::{Finding, Severity};

/// A finding as two lines.
pub fn finding(finding: &Finding) -> String {
    let label = match finding.severity {
        Severity::Warning => paint(WARNING, "warning"),
        Severity::Blocked => paint(BAD, "blocked"),
        Severity::Error => paint(BAD, "error"),
    };
    format!("{label}: {}\n  remedy: {}\n", finding.message, finding.remedy)
}
