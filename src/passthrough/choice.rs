//! Which card is used for a guest if none is named: one rule for all commands.

use super::{Assessment, Verdict};
use crate::model::{CardKind, PciAddress};

#[derive(Debug, Clone)]
pub enum Choice<'a> {
    Chosen(&'a Assessment, String),
    /// One of these; the user has to say which. The first is the best example.
    Ambiguous(Vec<&'a Assessment>, String),
    /// None can be passed through. The likely candidates, the best example first, and what blocks each.
    None(Vec<&'a Assessment>, String),
}

impl<'a> Choice<'a> {
    pub fn card(&self) -> Option<&'a Assessment> {
        match self {
            Self::Chosen(card, _) => Some(card),
            Self::Ambiguous(..) | Self::None(..) => None,
        }
    }

    /// The only candidate, if nothing stands in its way but that the host has no other display, or that the IOMMU is off:
    /// both end, if the user wants it.
    pub fn sole(&self) -> Option<&'a Assessment> {
        match self {
            Self::None(cards, _) => match cards[..] {
                [card] if matches!(card.verdict, Verdict::OnlyDisplay | Verdict::Unknown) => Some(card),
                _ => None,
            },
            Self::Chosen(..) | Self::Ambiguous(..) => None,
        }
    }

    /// What to do if none is chosen.
    pub fn remedy(&self) -> String {
        let first = |cards: &[&Assessment]| cards.first().map(|card| card.address.short());
        if let Some(card) = self.sole().filter(|card| card.verdict == Verdict::OnlyDisplay) {
            return format!("hand it over while the guest runs: vgapt define NAME --gpu {} --handover", card.address.short());
        }
        let told = match self {
            Self::Chosen(..) => None,
            Self::Ambiguous(cards, _) => first(cards).map(|address| format!("name one, such as --gpu {address}")),
            Self::None(cards, _) => first(cards).map(|address| format!("see what is in the way: vgapt check --gpu {address}")),
        };
        told.unwrap_or_else(|| "name a device that is not a graphics card with --pci; see all devices: vgapt list --all".to_owned())
    }

    pub fn because(&self) -> &str {
        match self {
            Self::Chosen(_, because) | Self::Ambiguous(_, because) | Self::None(_, because) => because,
        }
    }
}

/// How good a candidate is; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A discrete card that is already bound to vfio-pci.
    Bound,
    /// Integrated graphics that are already bound to vfio-pci.
    BoundIntegrated,
    /// A discrete card that is not the boot display.
    Spare,
    /// A discrete card that is the boot display.
    BootDisplay,
    /// Integrated graphics on a host without a discrete card.
    Integrated,
}

/// Chooses among the cards of a host. Never a management controller's graphics and never the only
/// display; of several the one that is bound already, else the discrete one that is not the
/// boot display. Between equal candidates the user decides.
pub fn choose(cards: &[Assessment]) -> Choice<'_> {
    let has_discrete = cards.iter().any(|card| card.kind == CardKind::Discrete);
    let mut candidates: Vec<(Rank, &Assessment)> = cards.iter().filter_map(|card| Some((rank(card, has_discrete)?, card))).collect();
    candidates.sort_by_key(|(rank, card)| (*rank, card.boot_vga == Some(true), card.address));
    let Some((best, first)) = candidates.first().copied() else { return none(cards, has_discrete) };
    let equal: Vec<&Assessment> = candidates.iter().filter(|(rank, _)| *rank == best).map(|(_, card)| *card).collect();
    if equal.len() > 1 {
        let named: Vec<String> = equal.iter().map(|card| describe(card)).collect();
        return Choice::Ambiguous(equal, format!("more than one card is possible: {}", named.join("; ")));
    }
    let because = match best {
        Rank::Bound | Rank::BoundIntegrated => "all its functions are already bound to vfio-pci".to_owned(),
        Rank::Spare | Rank::BootDisplay | Rank::Integrated => {
            let others = cards.iter().filter(|card| card.address != first.address);
            let others: Vec<String> = others.map(|card| stays(card, has_discrete)).collect();
            if others.is_empty() { "it is the only graphics card".to_owned() } else { others.join("; ") }
        }
    };
    Choice::Chosen(first, because)
}

fn rank(card: &Assessment, has_discrete: bool) -> Option<Rank> {
    let is_boot_display = card.boot_vga == Some(true);
    let can_go = match card.verdict {
        Verdict::Ready | Verdict::Available => true,
        // Without IOMMU groups it is only known that the host does not need the card.
        Verdict::Unknown => card.host_keeps_display && !is_boot_display,
        Verdict::OnlyDisplay | Verdict::Blocked | Verdict::Reserved | Verdict::Console | Verdict::SharedOut => false,
    };
    match (card.kind, card.verdict) {
        _ if !can_go => None,
        (CardKind::Discrete, Verdict::Ready) => Some(Rank::Bound),
        (CardKind::Integrated, Verdict::Ready) => Some(Rank::BoundIntegrated),
        (CardKind::Discrete, _) if is_boot_display => Some(Rank::BootDisplay),
        (CardKind::Discrete, _) => Some(Rank::Spare),
        (CardKind::Integrated, _) => (!has_discrete).then_some(Rank::Integrated),
        (CardKind::Bmc | CardKind::Virtual, _) => None,
    }
}

fn none(cards: &[Assessment], has_discrete: bool) -> Choice<'_> {
    let is_meant = |card: &&Assessment| card.kind == if has_discrete { CardKind::Discrete } else { CardKind::Integrated };
    let mut meant: Vec<&Assessment> = cards.iter().filter(is_meant).collect();
    meant.sort_by_key(|card| (card.boot_vga == Some(true), card.address));
    if cards.is_empty() {
        return Choice::None(meant, "no graphics card was found".to_owned());
    }
    let reasons: Vec<String> = cards.iter().map(in_the_way).collect();
    // Integrated graphics next to a discrete card can still be passed through if they are named.
    let can_go = |card: &Assessment| card.kind == CardKind::Integrated && matches!(card.verdict, Verdict::Ready | Verdict::Available);
    let what = if has_discrete && cards.iter().any(can_go) { "discrete card" } else { "card" };
    Choice::None(meant, format!("no {what} can be passed through at present: {}", reasons.join("; ")))
}

/// A card in a message, with whether it is the boot display.
fn describe(card: &Assessment) -> String {
    let name = card.name.clone().unwrap_or_else(|| format!("graphics [{}]", card.id));
    let boot = if card.boot_vga == Some(true) { ", the boot display" } else { "" };
    format!("{} ({name}{boot})", card.address.short())
}

/// Why this card is not the chosen one.
fn stays(card: &Assessment, has_discrete: bool) -> String {
    let address = card.address.short();
    match (card.kind, card.verdict) {
        (CardKind::Bmc | CardKind::Virtual, _) | (_, Verdict::Blocked | Verdict::Reserved | Verdict::SharedOut) => in_the_way(card),
        (CardKind::Integrated, _) if has_discrete => format!("{address} is integrated graphics, used only if it is named"),
        _ if card.boot_vga == Some(true) => format!("{address}, the boot display, stays with the host"),
        _ => in_the_way(card),
    }
}

/// Whether a card is rather the host's own than meant for a guest: where a rule removes functions from the bus, the card that is
/// meant may be among these.
pub fn is_hosts_own(card: &Assessment) -> bool {
    card.kind == CardKind::Integrated || card.verdict == Verdict::OnlyDisplay
}

/// Why a card cannot be passed through, or only if it is named.
pub fn in_the_way(card: &Assessment) -> String {
    let address = card.address.short();
    match (card.kind, card.verdict) {
        (CardKind::Bmc, _) => format!("{address} is the server's console"),
        (CardKind::Virtual, _) => format!("{address} is emulated by a hypervisor"),
        (_, Verdict::Blocked) => {
            format!("{address} shares an IOMMU group with {}, which the host uses", PciAddress::list(&card.blockers))
        }
        (_, Verdict::Reserved) => format!("the firmware reserves memory for {address}"),
        (_, Verdict::OnlyDisplay) => format!("{address} is the host's only display"),
        (_, Verdict::SharedOut) => format!("{address} has virtual functions"),
        (_, Verdict::Unknown) => format!("{address} is not in an IOMMU group"),
        (CardKind::Integrated, _) => format!("{address} is integrated graphics, used only if it is named"),
        (CardKind::Discrete, _) => format!("{address} is {}", card.verdict),
    }
}
