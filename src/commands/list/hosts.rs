//! `vgapt list` of several hosts.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::super::Context;
use super::super::exit_code::FAILED;
use crate::discovery::Scope;
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::problem;

/// Lists the cards of all given hosts, also if some hosts do not answer.
pub(super) fn list(context: &Context) -> Result<ExitCode> {
    let asked: Vec<(String, Result<Vec<Assessment>>)> = context.each().iter().map(|one| (one.uri().to_string(), cards(one))).collect();
    let failed = asked.iter().any(|(_, cards)| cards.is_err());
    if context.global.json {
        let host = |(uri, cards): &(String, Result<Vec<Assessment>>)| match cards {
            Ok(cards) => json!({"host": uri, "gpus": cards}),
            Err(error) => json!({"host": uri, "error": problem::describe(error)}),
        };
        output::print(&output::json(&json!({"hosts": asked.iter().map(host).collect::<Vec<_>>()})))?;
    } else {
        for (uri, error) in asked.iter().filter_map(|(uri, cards)| Some((uri, cards.as_ref().err()?))) {
            output::tell(&format!("{uri}: {}\n", problem::describe(error)));
        }
        let answered: Vec<(&str, &[Assessment])> =
            asked.iter().filter_map(|(uri, cards)| Some((uri.as_str(), cards.as_deref().ok()?))).collect();
        output::print(&output::hosts(&answered))?;
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn cards(context: &Context) -> Result<Vec<Assessment>> {
    let root = context.root()?;
    Ok(passthrough::assess(&context.host(root.as_ref(), Scope::Cards)?))
}
