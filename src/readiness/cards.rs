//! The cards selected for a guest: the verdict on each, and warnings about it.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::model::{Finding, LibvirtAnswer, Severity, Size};
use crate::passthrough::{Assessment, Choice, DangerKind, Verdict, assess, choose};

const WHY_GROUP: &str =
    "devices in one IOMMU group can access each other's memory, so a group is assigned to a guest as a whole or not at all";

/// Warnings that other checks report.
const CHECKED_ELSEWHERE: [&str; 1] = ["no-group"];
/// Refusals of prepare that the verdict already covers.
const COVERED_BY_VERDICT: [&str; 3] = ["blocked-group", "bmc", "has-virtual-functions"];

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let cards = prepared.facts.cards;
    if cards.is_empty() {
        return vec![none(prepared)];
    }
    let mut checks: Vec<Check> = cards.iter().flat_map(|card| of_card(prepared, card)).collect();
    checks.extend(cards.iter().filter_map(|card| users(prepared, card)));
    checks.extend(chosen(prepared));
    checks.extend(refusals(prepared));
    checks
}

/// The domains that the card is passed through to.
fn users(prepared: &Prepared, card: &Assessment) -> Option<Check> {
    let Some(LibvirtAnswer::Connected { domains, .. }) = &prepared.facts.observed.libvirt else { return None };
    let users = domains.iter().filter(|user| card.functions.iter().any(|function| user.functions.contains(function)));
    let users: Vec<String> = users.map(|user| format!("'{}' ({})", user.name, user.state)).collect();
    let seen = format!("is passed through to the domain {}", users.join(" and to "));
    (!users.is_empty()).then(|| Check::ok("card-domains", Group::Cards, subject(card), seen))
}

/// Why this card was chosen among several.
fn chosen(prepared: &Prepared) -> Option<Check> {
    let [card] = prepared.facts.cards else { return None };
    let all = assess(prepared.facts.host);
    let Choice::Chosen(chosen, because) = choose(&all) else { return None };
    (chosen.address == card.address && all.len() > 1)
        .then(|| Check::ok("choice", Group::Cards, subject(card), format!("is chosen if none is named: {because}")).minor())
}

/// The subject of a check of a card.
pub(super) fn subject(card: &Assessment) -> String {
    card.address.short()
}

fn none(prepared: &Prepared) -> Check {
    let all = assess(prepared.facts.host);
    let choice = choose(&all);
    let check = Check::ok("card", Group::Cards, "graphics card", choice.because());
    match choice {
        Choice::None(cards, _) | Choice::Ambiguous(cards, _) if cards.is_empty() => check.missing(
            Step::Choose,
            "without a card to pass through, a guest has no GPU of its own and does not need vgapt",
            "install a graphics card",
        ),
        Choice::None(cards, _) => {
            let first = cards.first().map(|card| card.address.short()).unwrap_or_default();
            check.missing(Step::Choose, WHY_GROUP, format!("see what blocks a card: vgapt check --gpu {first}"))
        }
        Choice::Ambiguous(cards, _) => {
            let first = cards.first().map(|card| card.address.short()).unwrap_or_default();
            let why = "what has to be done depends on the card";
            check.missing(Step::Choose, why, format!("choose one: vgapt check --gpu {first}"))
        }
        // A chosen card is always among the selected ones.
        Choice::Chosen(..) => check,
    }
}

fn of_card(prepared: &Prepared, card: &Assessment) -> Vec<Check> {
    let mut checks = vec![verdict(card, prepared)];
    // Devices with the same id matter only for binding by id; what is bound or prepared already was bound correctly.
    let is_bound = card.verdict == Verdict::Ready || !prepared.writes();
    let told = |warning: &&Finding| !(CHECKED_ELSEWHERE.contains(&warning.code) || is_bound && warning.code == "twins");
    checks.extend(card.warnings.iter().filter(told).map(|warning| warned(prepared, card, warning)));
    checks.extend(reset(prepared, card));
    checks.extend(regions(prepared, card));
    checks.extend(d3cold(prepared, card));
    checks
}

fn warned(prepared: &Prepared, card: &Assessment, warning: &Finding) -> Check {
    let check = Check { why: why(warning.code).to_owned(), ..Check::of_finding(warning, Group::Cards, &subject(card)) };
    if warning.code == "twins" { Check { remedy: format!("{} (it binds by address)", prepared.command()), ..check } } else { check }
}

fn verdict(card: &Assessment, prepared: &Prepared) -> Check {
    let name = card.name.clone().unwrap_or_else(|| format!("graphics [{}]", card.id));
    let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
    let groups = format!("IOMMU group{} {}", if groups.len() == 1 { "" } else { "s" }, groups.join(", "));
    let check = |seen: String| Check::ok("card", Group::Cards, subject(card), seen);
    match card.verdict {
        Verdict::Ready | Verdict::Available | Verdict::OnlyDisplay => check(format!("{name}: the host uses nothing else in {groups}")),
        Verdict::Blocked => {
            let blockers: Vec<String> = prepared
                .facts
                .host
                .devices(&card.blockers)
                .map(|device| {
                    format!("{} {} on {}", device.address.short(), device.class.noun(), device.driver.as_deref().unwrap_or_default())
                })
                .collect();
            check(format!("{name}: the host uses other devices in {groups}: {}", blockers.join(", "))).missing(
                Step::Firmware,
                WHY_GROUP,
                card.remedy.clone(),
            )
        }
        Verdict::Console => {
            check(format!("{name}: it is the server's console")).missing(Step::Choose, why("bmc"), "name another card with --gpu")
        }
        Verdict::SharedOut => check(format!("{name}: it has virtual functions, and stays with the host")).missing(
            Step::Choose,
            "passing a function through removes its virtual functions",
            card.remedy.clone(),
        ),
        Verdict::Unknown => {
            check(String::new()).unknown(&format!("there are no IOMMU groups yet, so the devices that share one with {name} are not known"))
        }
    }
}

/// Why a warning about a card matters.
fn why(code: &str) -> &'static str {
    match code {
        "twins" => "vfio-pci binds every device that has a given id",
        "boot-display" => "memory that the boot screen uses cannot be mapped for a guest, and an NVIDIA card's ROM is modified by then",
        "display-without-driver" => "once the card is passed through, the host has no picture",
        "host-blind" => "nobody can see the host's screen or log in locally",
        "apu" => "a guest's driver does not start without the ROM",
        "igd" => "the guest's driver looks for the display outputs there",
        "reset" | "no-reset" => "a card is reset each time it is assigned to a guest",
        "not-answering" => "it cannot be used in this state",
        "large-bar" => "a memory region that does not fit is not mapped, and the guest's driver does not start",
        "muxless" => "the guest renders, but no output shows it",
        "function-without-group" => "a card does not start in a guest without all of its functions",
        "bmc" => "once it is passed through, the server's console cannot be reached",
        _ => "it affects how the card works in a guest",
    }
}

/// What prepare refuses unless an option allows it.
fn refusals(prepared: &Prepared) -> Vec<Check> {
    let only_display = |finding: &Finding| finding.code == DangerKind::OnlyDisplay.code();
    let against = prepared.plan.findings.iter().filter(|finding| finding.severity == Severity::Blocked || only_display(finding));
    let subject = super::prepared::functions(prepared.facts.cards).first().map(|address| address.short()).unwrap_or_default();
    against
        .filter(|finding| {
            !COVERED_BY_VERDICT.contains(&finding.code) && !super::others::REPORTED_HERE.contains(&finding.code) && finding.code != "tpm"
        })
        .map(|finding| {
            let check = Check::ok(finding.code, Group::Cards, subject.clone(), finding.message.clone());
            let why = "the host needs what it would lose with the card";
            let remedy = finding.remedy_by(&prepared.command());
            // If nothing is left to prepare, the user has allowed it.
            let is_blocked = prepared.writes() && finding.severity == Severity::Blocked;
            if is_blocked { check.missing(Step::Firmware, why, remedy) } else { check.care(why, finding.remedy_alone()) }
        })
        .collect()
}

fn reset(prepared: &Prepared, card: &Assessment) -> Option<Check> {
    let methods = prepared.facts.host.device(card.address)?.reset_methods.as_ref().filter(|methods| !methods.is_empty())?;
    Some(Check::ok("reset-methods", Group::Cards, subject(card), format!("can be reset: {}", methods.join(", "))).minor())
}

/// The sizes of its regions: a guest sees them as they are now, and cannot change them.
fn regions(prepared: &Prepared, card: &Assessment) -> Option<Check> {
    let bars = &prepared.facts.host.device(card.address)?.bars;
    let bar = bars.iter().max_by_key(|bar| bar.size)?;
    let seen = format!("its largest memory region has {}", bar.size);
    let check = |seen: String| Check::ok("resizable-bar", Group::Cards, subject(card), seen);
    let largest = bar.resizable.iter().max().copied().unwrap_or(bar.size);
    if largest <= bar.size {
        return Some(check(format!("{seen}{}", if bar.resizable.is_empty() { "" } else { ", its full size" })).minor());
    }
    let bit = (largest.bytes() / Size::from_mib(1).bytes()).ilog2();
    let path = format!("/sys/bus/pci/devices/{}", card.address);
    Some(Check {
        minor: true,
        ..check(format!("{seen}, and could have {largest} (resizable BAR)")).care(
            "a guest sees the size that it has on the host, and cannot change it; some games are faster with the full size",
            format!("before the guest starts, while no driver is bound to the card: echo {bit} > {path}/resource{}_resize", bar.index),
        )
    })
}

fn d3cold(prepared: &Prepared, card: &Assessment) -> Option<Check> {
    let observed = prepared.facts.observed;
    let allowed = *observed.d3cold_allowed.get(&card.address)?;
    let at = card.address.to_string();
    let mut log = observed.log.iter().flatten();
    let stuck = log.any(|line| line.contains(&at) && line.contains("D3cold") && (line.contains("Unable") || line.contains("stuck")));
    let check = |seen: &str| Check::ok("d3cold", Group::Cards, subject(card), seen);
    Some(match (allowed, stuck) {
        (true, true) => check("did not wake from D3cold").care(
            "a card that is powered off and does not wake up is unusable until the host is powered off",
            format!(
                "echo 0 > /sys/bus/pci/devices/{at}/d3cold_allowed (permanently: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d)"
            ),
        ),
        (true, false) => check("may be powered off when idle (D3cold)").minor(),
        (false, _) => check("stays powered when idle (D3cold is off)").minor(),
    })
}
