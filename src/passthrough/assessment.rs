//! The assessment of each graphics card.

use schemars::JsonSchema;
use serde::Serialize;

use super::dangers::{RESERVED_MEMORY_REMEDY, has_outlets, keeps_display};
use super::verdict::Verdict;
use super::{families, group, warnings};
use crate::model::{Card, CardKind, Finding, Host, Next, PciAddress, PciDevice, PciId};

/// A graphics card, and whether and how it can be passed through.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Assessment {
    pub address: PciAddress,
    /// That function's ids.
    pub id: PciId,
    pub name: Option<String>,
    /// The driver that is bound to the display function.
    pub driver: Option<String>,
    pub kind: CardKind,
    /// The functions that must be passed through together, sorted.
    pub functions: Vec<PciAddress>,
    pub groups: Vec<u32>,
    /// The endpoints in these groups that block it.
    pub blockers: Vec<PciAddress>,
    /// Other devices with the same ids.
    pub twins: Vec<PciAddress>,
    /// Whether it is the boot display, which the firmware used.
    pub boot_vga: Option<bool>,
    /// The function of which this is a virtual one (SR-IOV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_function: Option<PciAddress>,
    /// Its virtual functions (SR-IOV).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_functions: Vec<PciAddress>,
    /// Whether the host still has a display without it; like [`Verdict`], but known without IOMMU groups too.
    #[serde(skip)]
    pub host_keeps_display: bool,
    pub verdict: Verdict,
    /// What would let it be passed through, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The next step, where the host's configuration was read too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    pub warnings: Vec<Finding>,
}

/// Assesses all graphics cards of a host, in order of address.
pub fn assess(host: &Host) -> Vec<Assessment> {
    Card::all(host).into_iter().filter_map(|card| assess_card(host, card)).collect()
}

/// Warnings about what the host gives away, as a plan shows them that binds these functions; `at_boot`: before the host's driver.
pub fn of_binding(host: &Host, functions: &[PciAddress], at_boot: bool) -> Vec<Finding> {
    let matters = |code: &str| matches!(code, "removable" | "no-monitor" | "not-answering") || (at_boot && code == "boot-display");
    let cards = assess(host).into_iter().filter(|card| functions.contains(&card.address));
    let named = cards.flat_map(|card| {
        let at = card.address.short();
        card.warnings
            .into_iter()
            .filter(|warning| matters(warning.code))
            .map(move |warning| Finding { message: format!("{at}: {}", warning.message), ..warning })
    });
    named.collect()
}

fn assess_card(host: &Host, card: Card) -> Option<Assessment> {
    let display = host.device(card.address)?;
    let groups = host.groups_of(&card.functions);
    let blockers = host.blockers_of(&card.functions);
    let verdict = verdict(host, &card, &groups, &blockers);
    let virtual_functions = host.virtual_functions_of(&card.functions);
    let host_keeps_display = keeps_display(host, &card.functions);
    let twins = host.pci.iter().filter(|other| other.id == display.id && other.address != display.address);
    Some(Assessment {
        address: card.address,
        id: display.id,
        name: families::named(display.name.as_deref(), display.id, card.kind),
        driver: display.driver.clone(),
        kind: card.kind,
        groups,
        twins: twins.map(|twin| twin.address).collect(),
        boot_vga: display.boot_vga,
        verdict,
        physical_function: display.physical_function,
        host_keeps_display,
        remedy: remedy(host, &card, verdict, &virtual_functions),
        next: None,
        virtual_functions,
        warnings: warnings::of_card(host, &card, verdict),
        functions: card.functions,
        blockers,
    })
}

fn verdict(host: &Host, card: &Card, groups: &[u32], blockers: &[PciAddress]) -> Verdict {
    if card.kind == CardKind::Bmc {
        Verdict::Console
    } else if groups.is_empty() {
        Verdict::Unknown
    } else if !host.virtual_functions_of(&card.functions).is_empty() {
        Verdict::SharedOut
    } else if host.devices(&card.functions).any(|device| !device.reserved_memory.is_empty()) {
        Verdict::Reserved
    } else if !blockers.is_empty() {
        Verdict::Blocked
    } else if host.devices(&card.functions).all(PciDevice::on_vfio) {
        Verdict::Ready
    } else if keeps_display(host, &card.functions) || !host.devices(&card.functions).any(has_outlets) {
        // A card without display outputs is no loss of a display.
        Verdict::Available
    } else {
        Verdict::OnlyDisplay
    }
}

/// What blocks it has to be changed by hand; every other step is the next step of `readiness`.
fn remedy(host: &Host, card: &Card, verdict: Verdict, virtual_functions: &[PciAddress]) -> Option<String> {
    match verdict {
        Verdict::Ready | Verdict::Available | Verdict::OnlyDisplay | Verdict::Console | Verdict::Unknown => None,
        Verdict::SharedOut => {
            let one = virtual_functions.first().map_or_else(|| "ADDRESS".to_owned(), |function| function.short());
            Some(format!(
                "pass through one of its virtual functions: vgapt define NAME --gpu {one}; or remove these first: echo 0 > /sys/bus/pci/devices/{}/sriov_numvfs",
                card.address
            ))
        }
        Verdict::Reserved => Some(RESERVED_MEMORY_REMEDY.into()),
        Verdict::Blocked => Some(group::isolation_remedy(host, &card.functions, &host.blockers_of(&card.functions))),
    }
}
