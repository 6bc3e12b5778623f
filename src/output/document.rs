//! What a command answers: with `--json` it is printed as one document, which has the same envelope for all commands
//! and beside it the command's own facts (docs/json/README.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Finding, Next};

/// The version of the documents: raised where a key changes its meaning or is removed.
pub const SCHEMA: u32 = 1;

/// What became of a command. Each word has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What was asked is done, or shown.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// It was only shown: --dry-run, or a host that is never changed.
    Planned,
    /// It was done, but not all of it: see the findings.
    Incomplete,
    /// Something that a guest needs is missing.
    NotReady,
    /// Nothing was changed: findings are against it.
    Refused,
    /// Nothing was changed: it is done only with --yes.
    Unconfirmed,
    /// The domain was started, but its guest was not up in time.
    TimedOut,
    /// The command line, a file of options or a variable is wrong.
    Usage,
    /// An error; its document has the key "error".
    Failed,
    /// Ctrl-C, or a signal to end.
    Interrupted,
}

/// An error: everything that is printed about it without --json.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What happened, and where.
    pub message: String,
    /// Why, the innermost reason last.
    pub causes: Vec<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What the documents of all commands have.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Envelope<'a> {
    /// The version of the documents.
    schema: u32,
    /// The command, such as "disk create"; null if the command line names none.
    command: Option<&'a str>,
    outcome: Outcome,
    /// What the command found, as in its text.
    findings: &'a [Finding],
    /// The one next step, where the command knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a Next>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

/// A document: the envelope with a command's own facts.
#[derive(Serialize, JsonSchema)]
pub struct Document<'a, T> {
    #[serde(flatten)]
    envelope: &'a Envelope<'a>,
    #[serde(flatten)]
    facts: &'a T,
}

/// What a command answers.
pub struct Answer {
    pub outcome: Outcome,
    pub findings: Vec<Finding>,
    pub next: Option<Next>,
    pub error: Option<Failure>,
    /// Whether the command has printed its document, or documents, itself.
    pub is_printed: bool,
    pub facts: Option<Box<dyn Facts>>,
}

/// A command's own part of its document: plain data.
pub trait Facts {
    fn document(&self, envelope: &Envelope, form: Form) -> String;
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Indented,
    /// On one line, because more documents follow.
    OneLine,
}

impl<T: Serialize> Facts for T {
    fn document(&self, envelope: &Envelope, form: Form) -> String {
        text(&Document { envelope, facts: self }, form)
    }
}

impl Answer {
    /// Without facts.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, findings: Vec::new(), next: None, error: None, is_printed: false, facts: None }
    }

    /// What was asked is done, or shown.
    pub fn done(facts: impl Serialize + 'static) -> Self {
        Self::new(Outcome::Done).with(facts)
    }

    /// The command has printed what it answers.
    pub fn printed(outcome: Outcome) -> Self {
        Self { is_printed: true, ..Self::new(outcome) }
    }

    #[must_use]
    pub fn with(self, facts: impl Serialize + 'static) -> Self {
        Self { facts: Some(Box::new(facts)), ..self }
    }

    #[must_use]
    pub fn finding(self, findings: Vec<Finding>) -> Self {
        Self { findings, ..self }
    }

    #[must_use]
    pub fn next(self, next: impl Into<Option<Next>>) -> Self {
        Self { next: next.into(), ..self }
    }

    /// The document of a command.
    pub fn document(&self, command: Option<&str>, form: Form) -> String {
        let Self { outcome, findings, next, error, facts, .. } = self;
        let envelope = Envelope { schema: SCHEMA, command, outcome: *outcome, findings, next: next.as_ref(), error: error.as_ref() };
        facts.as_ref().map_or_else(|| text(&envelope, form), |facts| facts.document(&envelope, form))
    }
}

/// A value as JSON with a line end.
fn text(value: &impl Serialize, form: Form) -> String {
    let text = match form {
        Form::Indented => serde_json::to_string_pretty(value),
        Form::OneLine => serde_json::to_string(value),
    };
    // The values are plain data with string keys; serialising them cannot fail.
    text.unwrap_or_default() + "\n"
}
