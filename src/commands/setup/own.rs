//! Other commands of this program: what they answer, and their command lines.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::commands::Context;
use crate::model::{Finding, Next, shell_word};
use crate::output::{Failure, Outcome};
use crate::problem::Problem;
use crate::run;

/// The document of a vgapt command, as far as setup reads it.
#[derive(Deserialize)]
pub(super) struct Said<T> {
    pub(super) outcome: Outcome,
    pub(super) findings: Vec<Finding>,
    pub(super) next: Option<Next>,
    pub(super) error: Option<Failure>,
    #[serde(flatten)]
    pub(super) facts: T,
}

impl<T: for<'a> Deserialize<'a>> Said<T> {
    pub(super) fn of(argv: &[String], document: &Value) -> Result<Self> {
        Self::deserialize(document).with_context(|| format!("`{}` answered something else than expected", shown(argv)))
    }
}

/// What a command says that shows something. Its exit code is part of that.
pub(super) fn said<T: for<'a> Deserialize<'a>>(context: &Context, argv: &[String]) -> Result<Said<T>> {
    let document = document(context, argv)?;
    if let Some(Failure { message, causes, remedy }) = Said::<Value>::of(argv, &document)?.error {
        let message = std::iter::once(message).chain(causes).collect::<Vec<_>>().join(": ");
        return Err(match remedy {
            Some(remedy) => Problem::new(message, remedy).into(),
            None => anyhow::Error::msg(message),
        });
    }
    Said::of(argv, &document)
}

/// The document of a command.
pub(super) fn document(context: &Context, argv: &[String]) -> Result<Value> {
    let ran = run::own_output(&[words(&["--json"]), global(context, argv)].concat())?;
    serde_json::from_str(&ran.stdout).with_context(|| format!("{}: {}", shown(argv), ran.last_lines()))
}

/// The global options of this run before a command.
pub(super) fn global(context: &Context, argv: &[String]) -> Vec<String> {
    let connect = context.global.connect.iter().flat_map(|uri| ["--connect".to_owned(), uri.clone()]);
    let root = context.global.root.iter().flat_map(|root| ["--root".to_owned(), root.to_string_lossy().into_owned()]);
    connect.chain(root).chain(argv.iter().cloned()).collect()
}

pub(super) fn shown(argv: &[String]) -> String {
    format!("vgapt {}", line(argv))
}

/// As it is typed in a shell.
pub(super) fn line(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
