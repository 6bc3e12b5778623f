//! Something worth telling: what was seen, and what to do about it.

use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Warning,
    /// Speaks against it; `--force` goes on all the same.
    Blocker,
    /// Cannot work; nothing overrides it.
    Fatal,
}

/// One finding, with the remedy beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name for programs.
    pub code: &'static str,
    /// How much it weighs.
    #[serde(skip)]
    pub severity: Severity,
    /// What was seen, and where.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// Good to know.
    pub fn warning(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), remedy: remedy.into() }
    }

    /// Speaks against it, and may be overridden.
    pub fn blocker(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Blocker, ..Self::warning(code, message, remedy) }
    }

    /// Cannot work.
    pub fn fatal(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, ..Self::warning(code, message, remedy) }
    }

    /// Whether it keeps a command from going on, with `--force` or without it.
    pub fn refuses(&self, force: bool) -> bool {
        self.severity == Severity::Fatal || (self.severity == Severity::Blocker && !force)
    }
}
