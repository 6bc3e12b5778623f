//! Findings: a problem or a warning, with its remedy.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Does not prevent anything.
    Warning,
    /// Prevents the command; `--force` overrides it.
    Blocked,
    /// Cannot work; `--force` does not override it.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable identifier for programs.
    #[serde(deserialize_with = "code")]
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    /// What to do, including the option that overrides it, if any.
    pub remedy: String,
    /// The option that overrides it.
    #[serde(skip)]
    pub unless: Option<Box<Override>>,
}

/// With a name of its own, so that serde does not borrow it.
type Code = &'static str;

/// The code in another program's finding: it is kept until this program ends.
fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
    String::deserialize(deserializer).map(|code| &*code.leak())
}

/// An option that overrides a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The finding's remedy without the option.
    remedy: String,
    /// The text before the option.
    offer: &'static str,
    option: String,
}

impl Finding {
    pub fn warning(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), remedy: remedy.into(), unless: None }
    }

    /// A finding that prevents the command unless it is overridden.
    pub fn blocked(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Blocked, ..Self::warning(code, message, remedy) }
    }

    /// A finding that cannot be overridden.
    pub fn error(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(code, message, remedy) }
    }

    /// The same finding, which can be overridden by `option`; `offer` introduces the option after the remedy.
    #[must_use]
    pub fn unless(self, offer: &'static str, option: String) -> Self {
        let remedy = format!("{}; {offer}: {option}", self.remedy);
        Self { unless: Some(Box::new(Override { remedy: self.remedy, offer, option })), remedy, ..self }
    }

    /// The remedy without the option that overrides the finding.
    pub fn remedy_alone(&self) -> &str {
        self.unless.as_ref().map_or(&self.remedy, |unless| &unless.remedy)
    }

    /// The remedy, with the option appended to this command.
    pub fn remedy_by(&self, command: &str) -> String {
        match self.unless.as_deref() {
            Some(Override { remedy, offer, option }) => format!("{remedy}; {offer}: {command} {option}"),
            None => self.remedy.clone(),
        }
    }

    /// The same finding as a warning, where somebody has decided what the option is for; it stays one that an option overrides.
    #[must_use]
    pub fn decided(self) -> Self {
        Self { severity: Severity::Warning, remedy: self.remedy_alone().to_owned(), ..self }
    }

    /// Whether it prevents a command, with or without `--force`.
    pub fn refuses(&self, force: bool) -> bool {
        self.severity == Severity::Error || (self.severity == Severity::Blocked && !force)
    }
}

/// A name or path, quoted as one shell word if necessary.
pub fn shell_word(name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.+:@%/".contains(letter));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// A command as it is typed into a shell.
pub fn shell_command(argv: &[String]) -> String {
    let is_plain =
        |word: &str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.+:@%/=,".contains(letter));
    argv.iter().map(|word| if is_plain(word) { word.clone() } else { shell_word(word) }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        for (name, word) in [("win10", "win10"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(shell_word(name), word);
        }
    }
}
