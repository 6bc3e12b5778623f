//! The one next step, on this host for its cards, and for a domain: one decision, whoever asks. Pure.

use super::check::{Check, CheckState, NextStep};
use super::facts::Facts;
use crate::host::Bind;
use crate::model::{Iommu, Next, PciAddress, Severity, shell_command};
use crate::passthrough::{Assessment, Choice, Verdict, assess, choose, in_the_way, is_soldered};

/// The kind of the next step for the host and the cards that were looked at, and that step.
pub(super) fn decide(facts: &Facts, checks: &[Check]) -> (NextStep, Next) {
    // The first of the most fundamental ones.
    let missing = checks.iter().filter(|check| check.state == CheckState::Missing);
    let Some(first) = missing.min_by_key(|check| check.step) else {
        return (NextStep::Define, Next::command(facts.define(), why_define(facts)));
    };
    let step = first.step.unwrap_or(NextStep::Software);
    let next = match step {
        NextStep::Prepare => refused(facts, first).unwrap_or_else(|| of_check(facts, checks, first)),
        NextStep::Reboot => reboot(facts, first),
        _ => of_check(facts, checks, first),
    };
    (step, next)
}

fn why_define(facts: &Facts) -> String {
    let named: Vec<String> = facts.cards.iter().map(|card| card.address.short()).collect();
    let (named, is) = (named.join(" and "), if facts.cards.len() == 1 { "is" } else { "are" });
    if facts.hands_over {
        format!("{named}, the host's only display, goes to the guest while it runs")
    } else if facts.bind == Bind::Start && !facts.cards.iter().all(|card| card.verdict == Verdict::Ready) {
        format!("libvirt binds {named} when the domain starts")
    } else {
        format!("{named} {is} ready for a guest")
    }
}

/// Where another card has to be named: the first that is possible, and why it is meant.
pub(super) fn example(facts: &Facts) -> Option<(Assessment, String)> {
    let all = assess(facts.host);
    if let [card] = facts.cards {
        let function = *card.virtual_functions.first()?;
        let of = card.address.short();
        let card = all.into_iter().find(|card| card.address == function)?;
        return Some((card, format!("one of the virtual functions of {of}")));
    }
    let Choice::Ambiguous(cards, _) = choose(&all) else { return None };
    let (first, others) = cards.split_first()?;
    let others: Vec<String> = others.iter().map(|card| card.address.short()).collect();
    Some(((*first).clone(), format!("or {}, which is as good", others.join(" or "))))
}

/// Why prepare is no next step: what it refuses has to be corrected first.
fn refused(facts: &Facts, first: &Check) -> Option<Next> {
    let blocked = || facts.plan.findings.iter().find(|finding| finding.severity > Severity::Warning && first.is_by_prepare());
    facts.refusals().next().or_else(blocked).map(Next::out_of)
}

fn reboot(facts: &Facts, first: &Check) -> Next {
    let cards: String = facts.cards.iter().map(|card| format!(" --gpu {}", card.address.short())).collect();
    let noted: Vec<String> = facts.noted.iter().map(|argv| shell_command(argv)).collect();
    if noted.is_empty() {
        Next::command("reboot", format!("{}{}; afterwards: vgapt check{cards}", said(facts, first), facts.if_rebooted()))
    } else {
        Next::command(noted.join(" && "), format!("run it in that system and reboot it; afterwards: vgapt check{cards}"))
    }
}

fn of_check(facts: &Facts, checks: &[Check], first: &Check) -> Next {
    let Some(command) = &first.command else { return sentence(facts, first) };
    // prepare installs all packages that are missing.
    let installs = checks.iter().any(|check| is_package(check) && check.command.is_some()) && !facts.refused();
    let command = match () {
        () if installs && is_package(first) => format!("{} --install", facts.command()),
        () if installs && first.is_by_prepare() => format!("{command} --install"),
        () => command.clone(),
    };
    Next::command(command, said(facts, first))
}

/// A package that is missing.
fn is_package(check: &Check) -> bool {
    check.code == "software" && check.state == CheckState::Missing
}

fn sentence(facts: &Facts, first: &Check) -> Next {
    let stays = facts.cards.iter().any(|card| card.verdict == Verdict::Console);
    let words = match first.code {
        "card" if facts.cards.is_empty() && facts.host.pci_is_unknown().is_none() => first.seen.clone(),
        "card" if stays => format!("{}, and stays with the host", said(facts, first)),
        "card" if facts.cards.iter().any(|card| card.verdict == Verdict::Blocked) => {
            let slot = if is_soldered(facts.host, &facts.functions) { "" } else { ", or another slot," };
            format!("{}; a newer firmware or its ACS setting{slot} may separate them", said(facts, first))
        }
        _ => return Next::about(first.remedy_alone.as_ref().unwrap_or(&first.remedy), &said(facts, first)),
    };
    Next::sentence(words)
}

/// What was found, in a few words.
fn said(facts: &Facts, check: &Check) -> String {
    let card = facts.cards.iter().find(|card| card.address.short() == check.subject);
    match (check.code, card) {
        ("card", Some(card)) if card.verdict != Verdict::Unknown => in_the_way(card),
        ("iommu", _) if facts.host.platform.iommu == Iommu::Off && check.step == Some(NextStep::Prepare) => "the IOMMU is off".to_owned(),
        ("binding", Some(card)) if check.step == Some(NextStep::Prepare) && card.verdict != Verdict::Ready => who_has(facts, card),
        ("card" | "binding" | "iommu" | "virtualization", _) => check.seen.clone(),
        _ => format!("{}: {}", check.subject, check.seen),
    }
}

/// The host's drivers that have a card.
fn who_has(facts: &Facts, card: &Assessment) -> String {
    let mut drivers: Vec<&str> = Vec::new();
    for device in facts.host.devices(&card.functions).filter(|device| !device.on_vfio()) {
        drivers.extend(device.driver.as_deref().filter(|driver| !drivers.contains(driver)));
    }
    format!("the host uses {} by {}", card.address.short(), drivers.join(", "))
}

/// The next step for a card of a host whose files cannot be read from here.
pub fn elsewhere(card: PciAddress) -> Next {
    Next::command(format!("vgapt check --gpu {}", card.short()), "run it on that host: what the host lacks cannot be read from here")
}

/// The state of a domain, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Off,
    /// It was started just now.
    Started,
    Running,
    /// It is running, and its definition has changed since it was started.
    Changed,
    Paused,
    ShuttingDown,
    Crashed,
}

/// A domain whose next step is asked for.
#[derive(Debug)]
pub struct DomainState<'a> {
    /// Its name, as a word for a shell.
    pub name: &'a str,
    /// The command that runs vgapt with the same libvirt.
    pub vgapt: &'a str,
    /// The URI of that libvirt, as a word for a shell.
    pub uri: &'a str,
    pub stage: Stage,
    /// Where its picture is, if it has a card.
    pub picture: Option<&'a str>,
}

/// The next step for a domain; `host`: the next step on the host, if that is not ready for the domain's cards.
pub fn of_domain(domain: &DomainState, host: Option<Next>) -> Next {
    let DomainState { name, vgapt, uri, stage, picture } = *domain;
    let picture = picture.map(|place| format!("its picture is {place}"));
    match stage {
        Stage::Off => host.unwrap_or_else(|| Next::command(format!("{vgapt} start {name}"), "it is defined, and shut off")),
        Stage::Changed => {
            host.unwrap_or_else(|| Next::command(format!("{vgapt} stop {name}"), "the change takes effect at its next start"))
        }
        Stage::Started => Next::command(
            format!("{vgapt} status {name}"),
            picture.unwrap_or_else(|| "it shows whether the guest is up, and its address".to_owned()),
        ),
        Stage::Running => Next::command(
            format!("{vgapt} stop {name}"),
            format!("when the guest is no longer needed{}", picture.map(|picture| format!("; {picture}")).unwrap_or_default()),
        ),
        Stage::Paused => Next::command(format!("virsh -c {uri} resume {name}"), "its processors are stopped"),
        Stage::ShuttingDown => Next::sentence("it is shutting down: wait until it is off"),
        Stage::Crashed => Next::command(format!("{vgapt} stop --force {name}"), "its guest has crashed"),
    }
}
