//! Errors for people: what happened, why, and what to do about it.

use std::fmt;

/// An error with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What happened, and where.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether the request itself is wrong: the exit code is then the one for wrong usage.
    pub is_usage: bool,
}

impl Problem {
    /// What happened, and what to do about it.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into(), is_usage: false }
    }

    /// An error in the request that clap does not see: in a file, or in an environment variable.
    pub fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_usage: true, ..Self::new(message, remedy) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// An error as text: the message on one line, then its causes, then all remedies.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("vgapt: {error}");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("\n  because: {cause}"));
    }
    for problem in error.chain().filter_map(|cause| cause.downcast_ref::<Problem>()) {
        text.push_str(&format!("\n  remedy: {}", problem.remedy));
    }
    text
}
