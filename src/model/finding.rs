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
    /// What to do; where an option overrides it, that too.
    pub remedy: String,
    /// The option that overrides it.
    #[serde(skip)]
    pub unless: Option<Box<Unless>>,
}

/// An option that overrides a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unless {
    /// The finding's remedy without the option.
    remedy: String,
    /// The words that offer the option.
    offer: &'static str,
    option: String,
}

impl Finding {
    /// Good to know.
    pub fn warning(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), remedy: remedy.into(), unless: None }
    }

    /// Speaks against it, and may be overridden.
    pub fn blocker(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Blocker, ..Self::warning(code, message, remedy) }
    }

    /// Cannot work.
    pub fn fatal(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, ..Self::warning(code, message, remedy) }
    }

    /// The same, overridden by an option, which these words offer behind the remedy.
    #[must_use]
    pub fn unless(self, offer: &'static str, option: String) -> Self {
        let remedy = format!("{}; {offer}: {option}", self.remedy);
        Self { unless: Some(Box::new(Unless { remedy: self.remedy, offer, option })), remedy, ..self }
    }

    /// The remedy without the option that overrides the finding.
    pub fn remedy_alone(&self) -> &str {
        self.unless.as_ref().map_or(&self.remedy, |unless| &unless.remedy)
    }

    /// The remedy, with the option as a part of this command.
    pub fn remedy_by(&self, command: &str) -> String {
        match self.unless.as_deref() {
            Some(Unless { remedy, offer, option }) => format!("{remedy}; {offer}: {command} {option}"),
            None => self.remedy.clone(),
        }
    }

    /// Whether it keeps a command from going on, with `--force` or without it.
    pub fn refuses(&self, force: bool) -> bool {
        self.severity == Severity::Fatal || (self.severity == Severity::Blocker && !force)
    }
}
