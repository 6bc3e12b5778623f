//! The one next step on a host or for a domain.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Finding;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// Why; without a command, also what is to be done.
    pub reason: String,
    /// The exact command, if one does it.
    pub command: Option<String>,
}

impl Next {
    pub fn command(command: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), command: Some(command.into()) }
    }

    /// What is to be done about a finding that is in the way; without the option that overrides it.
    pub fn out_of(finding: &Finding) -> Self {
        Self::about(finding.remedy_alone(), &finding.message)
    }

    /// What is to be done about this, in the form of all next steps.
    pub fn about(remedy: &str, what: &str) -> Self {
        Self::sentence(format!("{remedy}   ({what})"))
    }

    /// A step that no command does, or that nothing is left to do.
    pub fn sentence(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), command: None }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "{command}   ({})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
