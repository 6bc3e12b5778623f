//! Which card is meant for a guest where nobody named one: one rule, whoever asks.

use super::{Assessment, Verdict};
use crate::model::{CardKind, PciAddress};

/// The card that is meant, with the reason.
#[derive(Debug, Clone)]
pub enum Choice<'a> {
    /// This one.
    Chosen(&'a Assessment, String),
    /// One of these; somebody has to say which. The best example is the first.
    NoneClear(Vec<&'a Assessment>, String),
    /// None can be taken. The cards that people would mean, the best example first, and what is in the way of each.
    None(Vec<&'a Assessment>, String),
}

impl<'a> Choice<'a> {
    /// The chosen card.
    pub fn card(&self) -> Option<&'a Assessment> {
        match self {
            Self::Chosen(card, _) => Some(card),
            Self::NoneClear(..) | Self::None(..) => None,
        }
    }

    /// What to do where none is chosen.
    pub fn remedy(&self) -> String {
        let first = match self {
            Self::Chosen(..) => None,
            Self::NoneClear(cards, _) | Self::None(cards, _) => cards.first(),
        };
        first.map_or_else(
            || "vgapt list --all shows what devices there are; one that is no graphics card is named with --pci".to_owned(),
            |card| format!("name one, such as --gpu {}", card.address.short()),
        )
    }

    /// Why it is so.
    pub fn because(&self) -> &str {
        match self {
            Self::Chosen(_, because) | Self::NoneClear(_, because) | Self::None(_, because) => because,
        }
    }
}

/// How good a candidate is; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A discrete card that is on vfio-pci already.
    Bound,
    /// Integrated graphics that are on vfio-pci already.
    BoundIntegrated,
    /// A discrete card that the host does not boot with.
    Spare,
    /// A discrete card that the firmware uses.
    BootDisplay,
    /// Integrated graphics on a host without a discrete card.
    Integrated,
}

/// Chooses among the cards of a host. Never a management controller's graphics and never the only
/// display; of several the one that is bound already, else the discrete one that is not the
/// firmware's display. Equal candidates are for people to decide between.
pub fn choose(cards: &[Assessment]) -> Choice<'_> {
    let has_discrete = cards.iter().any(|card| card.kind == CardKind::Discrete);
    let mut candidates: Vec<(Rank, &Assessment)> = cards.iter().filter_map(|card| Some((rank(card, has_discrete)?, card))).collect();
    candidates.sort_by_key(|(rank, card)| (*rank, card.boot_vga == Some(true), card.address));
    let Some((best, first)) = candidates.first().copied() else { return none(cards, has_discrete) };
    let equal: Vec<&Assessment> = candidates.iter().filter(|(rank, _)| *rank == best).map(|(_, card)| *card).collect();
    if equal.len() > 1 {
        let named: Vec<String> = equal.iter().map(|card| describe(card)).collect();
        return Choice::NoneClear(equal, format!("more than one card could be meant: {}", named.join("; ")));
    }
    let because = match best {
        Rank::Bound | Rank::BoundIntegrated => "all its functions are on vfio-pci already".to_owned(),
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
        // Without groups nothing is certain but that the host does not need it.
        Verdict::Unknown => card.host_keeps_display && !is_boot_display,
        Verdict::OnlyDisplay | Verdict::Blocked | Verdict::Console | Verdict::SharedOut => false,
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
        return Choice::None(meant, "there is no graphics card".to_owned());
    }
    let reasons: Vec<String> = cards.iter().map(in_the_way).collect();
    // Integrated graphics beside a discrete card can go all the same, where somebody names them.
    let can_go = |card: &Assessment| card.kind == CardKind::Integrated && matches!(card.verdict, Verdict::Ready | Verdict::Available);
    let what = if has_discrete && cards.iter().any(can_go) { "discrete card" } else { "card" };
    Choice::None(meant, format!("no {what} can be given to a guest as things are: {}", reasons.join("; ")))
}

/// A card, for a sentence: what it would mean to take it.
fn describe(card: &Assessment) -> String {
    let name = card.name.clone().unwrap_or_else(|| format!("graphics [{}]", card.id));
    let boot = if card.boot_vga == Some(true) { ", the firmware's display" } else { "" };
    format!("{} ({name}{boot})", card.address.short())
}

/// Why another card is the one that is taken.
fn stays(card: &Assessment, has_discrete: bool) -> String {
    let address = card.address.short();
    match (card.kind, card.verdict) {
        (CardKind::Bmc | CardKind::Virtual, _) | (_, Verdict::Blocked | Verdict::SharedOut) => in_the_way(card),
        (CardKind::Integrated, _) if has_discrete => format!("{address} is integrated graphics, taken only where it is named"),
        _ if card.boot_vga == Some(true) => format!("{address}, the firmware's display, stays with the host"),
        _ => in_the_way(card),
    }
}

fn in_the_way(card: &Assessment) -> String {
    let address = card.address.short();
    match (card.kind, card.verdict) {
        (CardKind::Bmc, _) => format!("{address} is the server's console"),
        (CardKind::Virtual, _) => format!("{address} is emulated by a hypervisor"),
        (_, Verdict::Blocked) => {
            format!("{address} shares an IOMMU group with {}, which the host uses", PciAddress::list(&card.blockers))
        }
        (_, Verdict::OnlyDisplay) => format!("{address} is the host's only display"),
        (_, Verdict::SharedOut) => format!("{address} has virtual functions"),
        (_, Verdict::Unknown) => format!("{address} is in no IOMMU group"),
        (CardKind::Integrated, _) => format!("{address} is integrated graphics, taken only where it is named"),
        (CardKind::Discrete, _) => format!("{address} is {}", card.verdict),
    }
}
