//! The one next step on a host or for a domain.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Finding;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// Why; without a command and a remedy, also what is to be done.
    pub reason: String,
    /// The exact command, if one does it.
    pub command: Option<String>,
    /// What is to be done, in words, where no single command does it.
    pub remedy: Option<String>,
}

impl Next {
    pub fn command(command: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), command: Some(command.into()), remedy: None }
    }

    /// What is to be done about a finding that is in the way; without the option that overrides it.
    pub fn out_of(finding: &Finding) -> Self {
        Self::about(finding.remedy_alone(), &finding.message)
    }

    /// What is to be done about this.
    pub fn about(remedy: &str, what: &str) -> Self {
        Self { remedy: Some(remedy.to_owned()), ..Self::sentence(what) }
    }

    /// The command, or what is to be done in words.
    pub fn step(&self) -> &str {
        self.command.as_ref().or(self.remedy.as_ref()).unwrap_or(&self.reason)
    }

    /// A step that no command does, or that nothing is left to do.
    pub fn sentence(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), command: None, remedy: None }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step() {
            step if step == self.reason => f.write_str(step),
            step => write!(f, "{step}   ({})", self.reason),
        }
    }
}
