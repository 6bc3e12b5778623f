//! `vgapt list`.

use std::slice;

use anyhow::Result;

use super::Context;
use super::shared::card;
use super::shared::next::Seen;
use super::shared::refused::{self, Refused};
use crate::discovery::{self, Scope};
use crate::model::{Finding, Host, Next, PciAddress};
use crate::output::{self, Answer, CardsOfHost, Failure, Hosts, Listing, Outcome, Variables};
use crate::passthrough::{self, Assessment, SharedOut};
use crate::problem::Problem;
use crate::readiness;
use crate::root::Root;

/// List the graphics cards and whether they can be passed through
///
/// Lists the graphics cards, and whether each can be passed through to a guest. With --verbose, or for the card of
/// --gpu, also its functions, their IOMMU groups, what blocks it, the remedy, and warnings. With --connect more than
/// once: one table of the cards of all hosts.
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
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        if context.global.connect.len() > 1 {
            if self.groups || self.usb || self.all || self.env || self.gpu.is_some() {
                return Err(Problem::usage("with several hosts, only the cards are listed", "name one host with --connect").into());
            }
            return list_hosts(context);
        }
        let root = context.root()?.map(Root::at_one_moment);
        let host = context.host(root.as_ref(), self.scope(context))?;
        let mut cards = passthrough::assess(&host);
        if let Some(address) = self.gpu {
            cards.retain(|card| card.functions.contains(&address));
            if cards.is_empty() {
                return Err(card::none_at(root.as_ref(), &host, address).into());
            }
        }
        if self.env {
            let variables = Variables::of(chosen(&cards, self.gpu.is_some())?, &host);
            context.print(&output::env(&variables))?;
            return Ok(Answer::done(variables));
        }
        let next = if self.shows_next() { self.next_steps(context, root.as_ref(), &host, &mut cards) } else { None };
        let next = next.map(|next| context.repeated(next));
        let cards = context.repeated(cards);
        let domains = root.as_ref().map(discovery::functions_of_domains).unwrap_or_default();
        let shared_out = passthrough::shared_out(&host, &domains);
        let has_details = self.has_details(context);
        // The details of a card end with its next step.
        let is_said = matches!(&cards[..], [card] if has_details && card.next == next);
        let end = next.as_ref().filter(|_| !is_said).map(output::next).unwrap_or_default();
        context.print(&context.repeated(self.text(&host, &cards, has_details) + &self.shared_out(&shared_out) + &end))?;
        // Of a host whose functions cannot be read nothing was listed.
        let outcome = if host.pci_is_unknown().is_some() { Outcome::Incomplete } else { Outcome::Done };
        Ok(Answer { outcome, ..Listing::answer(host, cards, shared_out).next(next) })
    }

    fn scope(&self, context: &Context) -> Scope {
        match () {
            () if self.env => Scope::Cards,
            () if context.global.json => Scope::All,
            // Details name functions.
            () if self.shows_next() && self.has_details(context) => Scope::All,
            () if self.shows_next() => Scope::NextStep,
            () => Scope::Devices,
        }
    }

    /// The next step for the host, as `vgapt check` says it, and for each card where that is shown.
    fn next_steps(&self, context: &Context, root: Option<&Root>, host: &Host, cards: &mut [Assessment]) -> Option<Next> {
        let Some(root) = root else {
            for card in &mut *cards {
                card.next = Some(readiness::elsewhere(card.address));
            }
            return passthrough::choose(cards).card().and_then(|card| card.next.clone());
        };
        let mut seen = match Seen::read(context, root, host) {
            Ok(seen) => seen,
            Err(error) => return Some(Next::sentence(format!("unknown: {}", context.described(&error)))),
        };
        if context.global.json || self.has_details(context) {
            for card in &mut *cards {
                card.next = Some(seen.in_short(slice::from_ref(card), None).next);
            }
        }
        let meant = if self.gpu.is_some() { cards.to_vec() } else { seen.meant() };
        Some(seen.in_short(&meant, None).next)
    }

    /// Whether each card is shown by itself.
    fn has_details(&self, context: &Context) -> bool {
        context.global.verbose || self.gpu.is_some()
    }

    fn shows_next(&self) -> bool {
        !(self.env || self.groups || self.usb || self.all)
    }

    /// Not for one card, and not where only groups or USB devices are listed.
    fn shared_out(&self, parents: &[SharedOut]) -> String {
        if self.gpu.is_none() && (self.all || self.shows_next()) { output::shared_out(parents) } else { String::new() }
    }

    fn text(&self, host: &Host, cards: &[Assessment], has_details: bool) -> String {
        let parts = [(self.groups, output::groups as fn(&Host) -> String), (self.usb, output::usb), (self.all, output::functions)];
        let wanted: Vec<String> = parts.iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part(host)).collect();
        if !wanted.is_empty() {
            wanted.join("\n")
        } else if has_details {
            output::card_details(host, cards)
        } else {
            output::cards(host, cards)
        }
    }
}

/// The card that was named, else the automatic choice.
fn chosen(cards: &[Assessment], is_named: bool) -> Result<&Assessment> {
    if let ([card], true) = (cards, is_named) {
        return Ok(card);
    }
    let choice = passthrough::choose(cards);
    choice.card().ok_or_else(|| Refused::from(Finding::error("no-clear-choice", choice.because(), choice.remedy())).into())
}

/// Lists the cards of all given hosts, also if some hosts do not answer.
fn list_hosts(context: &Context) -> Result<Answer> {
    let asked: Vec<(String, Result<Vec<Assessment>>)> = context.each().iter().map(|one| (one.uri().to_string(), cards(one))).collect();
    let failed: Vec<(&str, &anyhow::Error)> = asked.iter().filter_map(|(uri, cards)| Some((uri.as_str(), cards.as_ref().err()?))).collect();
    for (uri, error) in &failed {
        context.say(&format!("{uri}: {}\n", context.described(error)));
    }
    let answered: Vec<(&str, &[Assessment])> =
        asked.iter().filter_map(|(uri, cards)| Some((uri.as_str(), cards.as_deref().ok()?))).collect();
    context.print(&output::hosts(&answered))?;
    let error = (!failed.is_empty()).then(|| Failure {
        message: format!("these hosts did not answer: {}", failed.iter().map(|(uri, _)| *uri).collect::<Vec<_>>().join(", ")),
        causes: failed.iter().map(|(_, error)| error.to_string()).collect(),
        remedy: Some("see \"error\" of each of them in \"hosts\"".to_owned()),
    });
    let outcome = if error.is_some() { Outcome::Failed } else { Outcome::Done };
    let of_host = |(host, cards): (String, Result<Vec<Assessment>>)| {
        let error = cards.as_ref().err().map(refused::failure);
        CardsOfHost { host, gpus: cards.ok(), error }
    };
    let hosts = Hosts { hosts: asked.into_iter().map(of_host).collect() };
    Ok(Answer { error, ..Answer::new(outcome).with(hosts) })
}

fn cards(context: &Context) -> Result<Vec<Assessment>> {
    let root = context.root()?;
    Ok(context.repeated(passthrough::assess(&context.host(root.as_ref(), Scope::Cards)?)))
}
