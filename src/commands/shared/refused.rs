//! How a command ends that could not do what was asked: refused with findings, or with an error.

use std::fmt;

use anyhow::Error;

use super::context::Context;
use crate::interrupt::Interrupted;
use crate::model::{Finding, Next};
use crate::output::{Answer, Failure, Outcome};
use crate::problem::Problem;

/// Findings because of which a command changes nothing.
#[derive(Debug)]
pub(in crate::commands) struct Refused {
    pub(in crate::commands) findings: Vec<Finding>,
    /// What therefore was not done; empty where the findings say it all.
    pub(in crate::commands) end: String,
    /// What is to be done instead, where it is not in the remedies.
    pub(in crate::commands) next: Option<Next>,
}

impl From<Finding> for Refused {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], end: String::new(), next: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.findings.iter().map(|finding| finding.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Refused {}

/// What a command answers that ended with an error; without --json the error is printed.
pub(crate) fn answer(context: &Context, error: Error) -> Answer {
    match error.downcast::<Refused>() {
        Ok(Refused { findings, end, next }) => {
            context.tell(&findings);
            let findings = if context.global.json { context.told() } else { findings };
            if !end.is_empty() {
                context.say(&format!("{end}\n"));
            }
            if let Some(next) = &next {
                context.next(next);
            }
            Answer::new(Outcome::Refused).finding(findings).next(next)
        }
        Err(error) => {
            // The text ends with the remedy, so the next step is not said again.
            context.say(&format!("{}\n", context.described(&error)));
            let next = problems(&error).next().map(|problem| Next::about(&problem.remedy, &problem.message));
            Answer { error: Some(failure(&error)), ..Answer::new(outcome(&error)).finding(context.told()).next(next) }
        }
    }
}

fn outcome(error: &Error) -> Outcome {
    if error.is::<Interrupted>() {
        Outcome::Interrupted
    } else if problems(error).any(|problem| problem.is_usage) {
        Outcome::Usage
    } else {
        Outcome::Failed
    }
}

/// An error for programs, as complete as [`describe`](crate::problem::describe).
pub(crate) fn failure(error: &Error) -> Failure {
    let remedies: Vec<&str> = problems(error).map(|problem| problem.remedy.as_str()).collect();
    Failure {
        message: error.to_string(),
        causes: error.chain().skip(1).map(ToString::to_string).collect(),
        remedy: (!remedies.is_empty()).then(|| remedies.join("; ")),
    }
}

fn problems(error: &Error) -> impl Iterator<Item = &Problem> {
    error.chain().filter_map(|cause| cause.downcast_ref::<Problem>())
}
