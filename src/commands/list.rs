//! `vgapt list`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::Context;
use super::exit_code::FAILED;
use super::shared::card;
use crate::discovery::Scope;
use crate::model::{Host, PciAddress};
use crate::output;
use crate::passthrough::{self, Assessment};
use crate::problem::{self, Problem};

/// List the graphics cards and whether they can be passed through
///
/// Lists for each graphics card its functions, their IOMMU groups, whether it can be passed through to a guest,
/// what blocks it, and the remedy. With --connect more than once: one table of the cards of all hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt list                       # the graphics cards of this host
  vgapt list --groups --usb        # also all IOMMU groups and USB devices
  vgapt list -c qemu+ssh://root@box1/system -c qemu+ssh://root@box2/system")]
pub struct Arguments {
    /// Print all IOMMU groups
    #[arg(long)]
    groups: bool,
    /// Print the USB devices
    #[arg(long)]
    usb: bool,
    /// Print all PCI functions
    #[arg(long)]
    all: bool,
    /// Print the VGAPT_* variables of a card: the one of --gpu, else the automatic choice
    #[arg(long, conflicts_with_all = ["groups", "usb", "all"])]
    env: bool,
    /// Only the card with this function
    #[arg(long, value_name = "ADDRESS")]
    gpu: Option<PciAddress>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        if context.global.connect.len() > 1 {
            if self.groups || self.usb || self.all || self.env || self.gpu.is_some() {
                return Err(Problem::new("with several hosts, only the cards are listed", "name one host with --connect").into());
            }
            return list_hosts(context);
        }
        let root = context.root()?;
        let host = context.host(root.as_ref(), self.scope(context))?;
        let mut cards = passthrough::assess(&host);
        if let Some(address) = self.gpu {
            cards.retain(|card| card.functions.contains(&address));
            if cards.is_empty() {
                return Err(card::none_at(root.as_ref(), &host, address).into());
            }
        }
        let text = if self.env {
            let card = chosen(&cards, self.gpu.is_some())?;
            if context.global.json { output::json(&output::env_values(card, &host)) } else { output::env(card, &host) }
        } else if context.global.json {
            output::host_json(&host, &cards)
        } else {
            self.text(&host, &cards)
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn scope(&self, context: &Context) -> Scope {
        if context.global.json && !self.env {
            Scope::All
        } else if self.groups || self.usb || self.all {
            Scope::Devices
        } else {
            Scope::Cards
        }
    }

    fn text(&self, host: &Host, cards: &[Assessment]) -> String {
        let parts = [(self.groups, output::groups as fn(&Host) -> String), (self.usb, output::usb), (self.all, output::functions)];
        let wanted: Vec<String> = parts.iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part(host)).collect();
        if wanted.is_empty() { output::cards(host, cards) } else { wanted.join("\n") }
    }
}

/// The card that was named, else the automatic choice.
fn chosen(cards: &[Assessment], is_named: bool) -> Result<&Assessment> {
    if let ([card], true) = (cards, is_named) {
        return Ok(card);
    }
    let choice = passthrough::choose(cards);
    choice.card().ok_or_else(|| Problem::new(choice.because(), choice.remedy()).into())
}

/// Lists the cards of all given hosts, also if some hosts do not answer.
fn list_hosts(context: &Context) -> Result<ExitCode> {
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
