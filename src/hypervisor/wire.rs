//! The protocol between `vgapt` and its helper: one line of JSON for each question and each answer.

use std::io::Write;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::LibvirtError;
use super::questions::{Hypervisor, answer};

/// Both programs must have this version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) ask: String,
    pub(super) arguments: Value,
}

/// The first line of the helper: its version, and whether it is connected.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) connected: Answer,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Ok(Value),
    Failed(Failure),
}

/// An error: what was being done, outermost first, and libvirt's error.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    doing: Vec<String>,
    #[serde(flatten)]
    said: LibvirtError,
}

impl Failure {
    fn of(error: &anyhow::Error) -> Self {
        let mut doing: Vec<String> = error.chain().map(ToString::to_string).collect();
        let innermost = doing.pop().unwrap_or_default();
        let said = error.chain().find_map(|cause| cause.downcast_ref::<LibvirtError>()).cloned();
        Self { doing, said: said.unwrap_or(LibvirtError { message: innermost, code: 0, domain: 0 }) }
    }

    /// The same error in this program, with its remedy.
    pub(super) fn into_error(self) -> anyhow::Error {
        let error = super::remedies::with_remedy(self.said);
        self.doing.into_iter().rev().fold(error, anyhow::Error::context)
    }
}

impl From<Result<Value>> for Answer {
    fn from(answer: Result<Value>) -> Self {
        answer.map_or_else(|error| Self::Failed(Failure::of(&error)), Self::Ok)
    }
}

/// Runs the helper: it connects, reports the result, and answers questions until its input ends.
///
/// # Errors
/// Where a line cannot be read or written.
pub fn serve(
    connect: impl FnOnce() -> Result<Box<dyn Hypervisor>>,
    calls: impl Iterator<Item = std::io::Result<String>>,
    answers: &mut dyn Write,
) -> Result<()> {
    let connected = connect();
    let hypervisor = connected.as_ref().ok();
    say(
        answers,
        &Greeting {
            version: VERSION.into(),
            connected: match &connected {
                Ok(_) => Answer::Ok(Value::Null),
                Err(error) => Answer::Failed(Failure::of(error)),
            },
        },
    )?;
    let Some(hypervisor) = hypervisor else { return Ok(()) };
    for line in calls {
        let call: Call = serde_json::from_str(&line?).context("a question cannot be parsed")?;
        say(answers, &Answer::from(answer(hypervisor.as_ref(), &call.ask, call.arguments)))?;
    }
    Ok(())
}

fn say(answers: &mut dyn Write, what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what).context("plain data serialises")?;
    line.push(b'\n');
    answers.write_all(&line).and_then(|()| answers.flush()).context("the answer cannot be sent")
}
