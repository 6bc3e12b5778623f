//! Findings, as text and as JSON.

use serde::Serialize;

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

/// Findings with their severity, for JSON.
pub fn findings_json(findings: &[Finding]) -> Vec<serde_json::Value> {
    #[derive(Serialize)]
    struct Weighed<'a> {
        severity: Severity,
        #[serde(flatten)]
        finding: &'a Finding,
    }
    let value = |finding: &Finding| serde_json::to_value(Weighed { severity: finding.severity, finding }).unwrap_or_default();
    findings.iter().map(value).collect()
}

/// A value as indented JSON with a line end.
pub fn json(value: &impl Serialize) -> String {
    // The values are plain data with string keys; serialising them cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
