//! `vgapt` alone: this host, its domains, and the next step.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::domains::{Domains, Short};
use super::shared::next;
use crate::discovery::Scope;
use crate::model::{Host, Iommu};
use crate::output::{self, Answer};
use crate::passthrough::{self, Assessment};
use crate::root::Root;

/// Prints the state of this host and of its domains in a few lines, and the next step.
pub(crate) fn run(context: &Context) -> Result<Answer> {
    let root = context.root()?.map(Root::at_one_moment);
    let host = context.host(root.as_ref(), Scope::All)?;
    let cards = context.repeated(passthrough::assess(&host));
    let domains =
        context.knows_domains(root.as_ref()).then(|| context.connect().and_then(|connection| Domains::read(connection, &host, &cards)));
    let (state, of_host) = next::on_host(context, root.as_ref(), &host, &cards)?;
    let state = state.unwrap_or_else(|| "what it lacks cannot be read from here".to_owned());
    let of_domain = match &domains {
        Some(Ok(domains)) => domains.next(context, root.as_ref(), &host)?,
        _ => None,
    };
    let next = of_domain.unwrap_or(of_host);
    let text = match &domains {
        Some(Ok(domains)) => domains.text(&cards),
        Some(Err(error)) => format!("domains unknown: {}\n", because(error)),
        None => String::new(),
    };
    context.print(&format!("{}{}{text}{}", head(&host, &state), of_cards(&cards), output::next(&next)))?;
    let (domains, domains_unknown) = match domains {
        Some(Ok(summary)) => (Some(summary.domains), None),
        Some(Err(error)) => (None, Some(because(&error))),
        None => (None, Some("only files of a host were read".to_owned())),
    };
    let host = HostState { iommu: host.platform.iommu, kernel: host.platform.kernel, state };
    Ok(Answer::done(Overview { host, gpus: cards, domains, domains_unknown }).next(next))
}

/// What `vgapt` alone answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Overview {
    host: HostState,
    gpus: Vec<Assessment>,
    domains: Option<Vec<Short>>,
    /// Why the domains are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    domains_unknown: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct HostState {
    iommu: Iommu,
    /// Kernel release.
    kernel: Option<String>,
    /// Whether it is ready for a guest with a card, in a line.
    state: String,
}

fn because(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn head(host: &Host, state: &str) -> String {
    let platform = &host.platform;
    let system = platform.distribution.name.clone().into_iter().chain(platform.kernel.iter().map(|kernel| format!("Linux {kernel}")));
    let iommu = match platform.iommu {
        Iommu::On => "IOMMU on",
        Iommu::Off | Iommu::FirmwareOff => "IOMMU off",
        Iommu::Guest => "no IOMMU",
        Iommu::Xen => "Xen has the IOMMU",
        Iommu::Unknown => "IOMMU unknown",
    };
    let parts: Vec<String> = system.chain([iommu.to_owned()]).collect();
    format!("{}; {state}\n", parts.join(", "))
}

fn of_cards(cards: &[Assessment]) -> String {
    let line = |card: &Assessment| {
        let boot = if card.boot_vga == Some(true) { ", the boot display" } else { "" };
        format!("  {} {}: {}{boot}\n", card.address.short(), output::short_name(card), card.verdict)
    };
    cards.iter().map(line).collect()
}
