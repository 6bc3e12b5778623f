//! The verdict on each graphics card.

use serde::Serialize;

use super::{group, warnings};
use crate::model::{Card, CardKind, Finding, Host, PciAddress, PciDevice, PciId};

/// Whether a card can be given to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All its functions are on vfio already.
    Ready,
    /// It can go; another display stays with the host.
    Available,
    /// It can go, and the host then has no display.
    OnlyDisplay,
    /// Something else in its groups keeps it with the host.
    Blocked,
    /// It is in no IOMMU group, so nothing can be said.
    Unknown,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Available => "available",
            Self::OnlyDisplay => "only-display",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        })
    }
}

/// A graphics card and what can be said of passing it through.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// Its display function.
    pub address: PciAddress,
    /// That function's ids.
    pub id: PciId,
    /// What it is called.
    pub name: Option<String>,
    /// The driver that has the display function.
    pub driver: Option<String>,
    /// What sort it is.
    pub kind: CardKind,
    /// What must travel together, sorted.
    pub functions: Vec<PciAddress>,
    /// The groups of these.
    pub groups: Vec<u32>,
    /// The endpoints in these groups that keep it with the host.
    pub blockers: Vec<PciAddress>,
    /// Other devices with the same ids.
    pub twins: Vec<PciAddress>,
    /// Whether the firmware used it for its own display.
    pub boot_vga: Option<bool>,
    /// Whether it can be given to a guest.
    pub verdict: Verdict,
    /// What to do, in one line.
    pub remedy: String,
    /// What else is good to know.
    pub warnings: Vec<Finding>,
}

/// Assesses all graphics cards of a host, in order of address.
pub fn assess(host: &Host) -> Vec<Assessment> {
    Card::all(host).into_iter().filter_map(|card| assess_card(host, card)).collect()
}

/// The one card that is meant for a guest: the only discrete one on vfio, else the only discrete one
/// that can go, else the only one that can go.
pub fn clear_choice(cards: &[Assessment]) -> Option<&Assessment> {
    let can_go = |card: &&Assessment| {
        matches!(card.verdict, Verdict::Ready | Verdict::Available) && matches!(card.kind, CardKind::Discrete | CardKind::Integrated)
    };
    let discrete = |card: &&Assessment| card.kind == CardKind::Discrete;
    let ready = |card: &&Assessment| card.verdict == Verdict::Ready;
    let choices: [Vec<&Assessment>; 3] = [
        cards.iter().filter(can_go).filter(discrete).filter(ready).collect(),
        cards.iter().filter(can_go).filter(discrete).collect(),
        cards.iter().filter(can_go).collect(),
    ];
    match choices.iter().find(|choice| !choice.is_empty())?[..] {
        [card] => Some(card),
        _ => None,
    }
}

fn assess_card(host: &Host, card: Card) -> Option<Assessment> {
    let display = host.device(card.address)?;
    let groups = host.groups_of(&card.functions);
    let blockers = host.blockers_of(&card.functions);
    let verdict = verdict(host, &card, &groups, &blockers);
    let twins = host.pci.iter().filter(|other| other.id == display.id && other.address != display.address);
    Some(Assessment {
        address: card.address,
        id: display.id,
        name: display.name.clone(),
        driver: display.driver.clone(),
        kind: card.kind,
        groups,
        twins: twins.map(|twin| twin.address).collect(),
        boot_vga: display.boot_vga,
        verdict,
        remedy: remedy(host, &card, verdict),
        warnings: warnings::of_card(host, &card, verdict),
        functions: card.functions,
        blockers,
    })
}

fn verdict(host: &Host, card: &Card, groups: &[u32], blockers: &[PciAddress]) -> Verdict {
    if groups.is_empty() {
        Verdict::Unknown
    } else if !blockers.is_empty() {
        Verdict::Blocked
    } else if host.devices(&card.functions).all(PciDevice::on_vfio) {
        Verdict::Ready
    } else if displays_that_stay(host, card).next().is_some() {
        Verdict::Available
    } else {
        Verdict::OnlyDisplay
    }
}

/// The displays that the host keeps when a card goes, with or without a driver.
pub(super) fn displays_that_stay<'a>(host: &'a Host, card: &'a Card) -> impl Iterator<Item = &'a PciDevice> {
    host.pci.iter().filter(|device| device.class.is_display() && !device.on_vfio() && !card.functions.contains(&device.address))
}

fn remedy(host: &Host, card: &Card, verdict: Verdict) -> String {
    let address = card.address.short();
    match verdict {
        Verdict::Ready | Verdict::Available | Verdict::OnlyDisplay if card.kind == CardKind::Bmc => {
            "leave it to the host: it is the server's console".into()
        }
        Verdict::Ready | Verdict::Available => format!("vgapt define NAME --gpu {address}"),
        Verdict::OnlyDisplay => {
            format!(
                "add a second display (integrated graphics count) and make it primary in the firmware; else the host is blind while the guest has {address}"
            )
        }
        Verdict::Blocked => group::isolation_remedy(card.kind == CardKind::Integrated),
        Verdict::Unknown => group::missing_iommu(host).1,
    }
}
