//! One thing that was looked at: how it is, why that matters, what to do about it.

use serde::Serialize;

use crate::model::Finding;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it has to be.
    Ok,
    /// It works, or may; better know it.
    Care,
    /// Without it a guest does not get the card.
    Missing,
    /// Could not be found out.
    Unknown,
}

/// What a check belongs to, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Processor and KVM.
    Processor,
    /// IOMMU and interrupts.
    Iommu,
    /// The cards that are meant for a guest.
    Cards,
    /// Boot loader, kernel and its parameters.
    Boot,
    /// Taking the cards from the host.
    Binding,
    /// Huge pages and locked memory.
    Memory,
    /// libvirt, QEMU, and what guests need beside.
    Software,
    /// What the kernel says.
    KernelLog,
}

/// The steps to a ready host, the most fundamental first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A setting of the firmware, or another slot.
    Firmware,
    /// The kernel itself.
    Kernel,
    /// To say which card is meant.
    Choose,
    /// What `vgapt prepare` does.
    Prepare,
    /// To boot again.
    Reboot,
    /// Missing packages.
    Software,
    /// All is there: to define the domain.
    Define,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name for programs.
    pub code: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// How it is.
    pub state: State,
    /// What was looked at.
    pub subject: String,
    /// What was seen; where it is not known, why.
    pub seen: String,
    /// Why it matters.
    pub why: String,
    /// What to do; empty where nothing has to be done.
    pub remedy: String,
    /// The step that the remedy is.
    pub step: Option<Step>,
    /// Of interest only to those who want to know more.
    #[serde(skip)]
    pub minor: bool,
}

impl Check {
    /// As it has to be.
    pub(super) fn ok(code: &'static str, group: Group, subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            code,
            group,
            state: State::Ok,
            subject: subject.into(),
            seen: seen.into(),
            why: String::new(),
            remedy: String::new(),
            step: None,
            minor: false,
        }
    }

    /// The same, and better know this.
    pub(super) fn care(self, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Care, why: why.into(), remedy: remedy.into(), ..self }
    }

    /// The same, and without it there is no guest with the card.
    pub(super) fn missing(self, step: Step, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Missing, why: why.into(), remedy: remedy.into(), step: Some(step), ..self }
    }

    /// The same, not known.
    pub(super) fn unknown(self, because: &str) -> Self {
        Self { state: State::Unknown, seen: format!("because {because}"), ..self }
    }

    /// Only for those who want to know more.
    pub(super) fn minor(self) -> Self {
        Self { minor: true, ..self }
    }

    /// Whether prepare itself is the remedy, and not a sentence about another's file.
    pub(super) fn is_by_prepare(&self) -> bool {
        self.remedy.starts_with("vgapt prepare")
    }

    /// What was found elsewhere, as something to know.
    pub(super) fn of_finding(finding: &Finding, group: Group, subject: &str) -> Self {
        Self::ok(finding.code, group, subject, finding.message.clone()).care("", finding.remedy.clone())
    }
}
