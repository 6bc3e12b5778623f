//! One check: its result, why it matters, what to do about it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Finding;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As required.
    Ok,
    /// It works, or may work; needs attention.
    Warning,
    /// Without it a guest does not get the card.
    Missing,
    Unknown,
}

/// The topic of a check, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    Processor,
    Iommu,
    Cards,
    Boot,
    Binding,
    Memory,
    Software,
    KernelLog,
}

/// The steps to a ready host, the most fundamental first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NextStep {
    /// A setting of the firmware, or another slot.
    Firmware,
    Kernel,
    /// Naming a card.
    Choose,
    /// What `vgapt prepare` does.
    Prepare,
    Reboot,
    Software,
    /// Nothing is missing: define the domain.
    Define,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// Stable identifier for programs.
    pub code: &'static str,
    pub group: Topic,
    pub state: CheckState,
    pub subject: String,
    /// What was found; if unknown, why.
    pub seen: String,
    pub why: String,
    /// What to do; empty if nothing has to be done. Words that stand beside a command, where that is not all.
    pub remedy: String,
    /// The command, if the remedy is one, or has one.
    pub command: Option<String>,
    /// The kind of step that the remedy is.
    pub step: Option<NextStep>,
    /// Shown only with --verbose.
    #[serde(skip)]
    pub minor: bool,
    /// The remedy without the option that overrides what blocks it, if there is one.
    #[serde(skip)]
    pub(super) remedy_alone: Option<String>,
}

impl Check {
    /// As required.
    pub(super) fn ok(code: &'static str, group: Topic, subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            code,
            group,
            state: CheckState::Ok,
            subject: subject.into(),
            seen: seen.into(),
            why: String::new(),
            remedy: String::new(),
            command: None,
            step: None,
            minor: false,
            remedy_alone: None,
        }
    }

    pub(super) fn care(self, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: CheckState::Warning, why: why.into(), remedy: remedy.into(), ..self }
    }

    /// The same check as missing: without it a guest does not get the card.
    pub(super) fn missing(self, step: NextStep, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: CheckState::Missing, why: why.into(), remedy: remedy.into(), step: Some(step), ..self }
    }

    /// The same check, whose remedy is exactly one command.
    pub(super) fn by_command(self) -> Self {
        Self { command: Some(self.remedy.clone()), ..self }
    }

    /// What to do, as it is printed: the command, and the words beside it.
    pub fn remedy_in_words(&self) -> String {
        let command = self.command.as_ref().filter(|command| **command != self.remedy);
        command.into_iter().chain([&self.remedy]).map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn unknown(self, because: &str) -> Self {
        Self { state: CheckState::Unknown, seen: format!("because {because}"), ..self }
    }

    /// The same check, shown only with --verbose.
    pub(super) fn minor(self) -> Self {
        Self { minor: true, ..self }
    }

    /// The same check as missing because of a finding of prepare's.
    pub(super) fn blocked(self, step: NextStep, why: impl Into<String>, finding: &Finding, command: &str) -> Self {
        Self { remedy_alone: Some(finding.remedy_alone().to_owned()), ..self.missing(step, why, finding.remedy_by(command)) }
    }

    /// Whether the remedy is a `vgapt prepare` command, not a sentence about another tool's file.
    pub(super) fn is_by_prepare(&self) -> bool {
        self.remedy.starts_with("vgapt prepare")
    }

    /// A finding from elsewhere, as a warning.
    pub(super) fn of_finding(finding: &Finding, group: Topic, subject: &str, why: &str) -> Self {
        Self::ok(finding.code, group, subject, finding.message.clone()).care(why, finding.remedy.clone())
    }
}
