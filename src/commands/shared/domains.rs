//! All domains of a libvirt, in short: for `vgapt status` without a name, and for `vgapt` alone.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::context::Context;
use super::next;
use crate::domain::{Record, Summary};
use crate::domain_xml;
use crate::hypervisor::{Hypervisor, Known, State, Unread};
use crate::model::{Host, Next, PciAddress, Size};
use crate::output;
use crate::passthrough::Assessment;
use crate::root::Root;
use crate::xml::Document;

/// All domains, and those that cannot be read.
#[derive(Debug)]
pub(in crate::commands) struct Domains {
    pub(in crate::commands) domains: Vec<Short>,
    pub(in crate::commands) unread: Vec<Unread>,
}

/// A domain in a line. What its XML does not tell is `None`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct Short {
    pub(in crate::commands) name: String,
    pub(in crate::commands) state: State,
    /// The cards that are passed through to it.
    pub(in crate::commands) cards: Option<Vec<PciAddress>>,
    /// In bytes.
    pub(in crate::commands) memory: Option<Size>,
    pub(in crate::commands) cpus: Option<u32>,
    /// The functions that are passed through to it.
    #[serde(skip)]
    functions: Vec<PciAddress>,
    /// Whether it gets the host's only display.
    #[serde(skip)]
    is_handed_over: bool,
    /// Where its picture is, if it has a card.
    #[serde(skip)]
    picture: Option<String>,
}

impl Domains {
    pub(in crate::commands) fn read(connection: &dyn Hypervisor, host: &Host, cards: &[Assessment]) -> Result<Self> {
        let all = connection.domains()?;
        Ok(Self { domains: all.known.into_iter().map(|known| Short::of(known, host, cards)).collect(), unread: all.unread })
    }

    /// A table.
    pub(in crate::commands) fn text(&self, cards: &[Assessment]) -> String {
        let unknown = || "unknown".to_owned();
        let of_card = |address: &PciAddress| {
            let card = cards.iter().find(|card| card.address == *address);
            card.map_or_else(|| address.short(), |card| format!("{} {}", address.short(), output::short_name(card)))
        };
        let row = |domain: &Short| {
            let cards = domain.cards.as_ref().map(|cards| cards.iter().map(of_card).collect::<Vec<_>>().join(", "));
            [
                domain.name.clone(),
                domain.state.to_string(),
                domain.memory.map_or_else(unknown, |memory| memory.to_string()),
                domain.cpus.map_or_else(unknown, |cpus| cpus.to_string()),
                cards.map_or_else(unknown, |cards| if cards.is_empty() { "none".to_owned() } else { cards }),
            ]
        };
        let unread = |domain: &Unread| [domain.name.clone(), unknown(), unknown(), unknown(), format!("unknown: {}", domain.because)];
        let rows: Vec<[String; 5]> = self.domains.iter().map(row).chain(self.unread.iter().map(unread)).collect();
        output::domains(&rows)
    }

    /// What comes next: for the first domain with a card that is off, else for one that has a card; without one, on the host.
    pub(in crate::commands) fn next(&self, context: &Context, root: Option<&Root>, host: &Host) -> Result<Option<Next>> {
        let mut with_card = self.domains.iter().filter(|domain| domain.cards.as_ref().is_some_and(|cards| !cards.is_empty()));
        let first = with_card.clone().find(|domain| !domain.state.is_active()).or_else(|| with_card.next());
        let Some(first) = first else { return Ok(None) };
        let stage = next::stage(first.state);
        // What a domain uses now, it has.
        let of_host =
            if first.state.is_active() { None } else { next::of_host(context, root, host, &first.functions, first.is_handed_over)? };
        Ok(Some(next::of_domain(context, &first.name, stage, first.picture.as_deref(), of_host)))
    }
}

impl Short {
    fn of(known: Known, host: &Host, cards: &[Assessment]) -> Self {
        // The active XML of a running domain comes last.
        let document = known.xml.last().and_then(|xml| Document::parse(xml).ok());
        let root = document.as_ref().map(Document::root);
        let functions = document.as_ref().and_then(|document| domain_xml::all_functions(document).ok());
        let functions: Option<Vec<PciAddress>> = functions.map(|functions| functions.into_iter().collect());
        let of = |functions: &Vec<PciAddress>| {
            let passed = cards.iter().filter(|card| card.functions.iter().any(|function| functions.contains(function)));
            passed.map(|card| card.address).collect()
        };
        // An unreadable record is told by the commands that name the domain.
        let record = document.as_ref().and_then(|document| Record::of(document).known());
        Self {
            is_handed_over: record.as_ref().is_some_and(|record| record.request.handover),
            picture: document.as_ref().and_then(|document| output::picture(&Summary::of(document, record.as_ref(), host))),
            name: known.name,
            state: known.state,
            cards: functions.as_ref().map(of),
            memory: root.and_then(domain_xml::memory),
            cpus: root.and_then(domain_xml::vcpus),
            functions: functions.unwrap_or_default(),
        }
    }
}
