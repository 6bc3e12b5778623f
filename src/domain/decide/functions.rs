//! Which functions a domain passes: those of the requested cards, and others.

use std::collections::BTreeMap;

use crate::domain::alias;
use crate::domain::base::Base;
use crate::domain::record::Passed;
use crate::domain::request::Request;
use crate::domain::request::gpu::GpuChoice;
use crate::domain::spec::{NetworkCard, Slot, Way};
use crate::domain_xml::{alias_of, pci_hostdevs};
use crate::model::{Card, Finding, Host, PARENT_DOWN, PARENT_DOWN_REMEDY, PciAddress};
use crate::passthrough::{assess, choose, guest_place};
use crate::xml::Element;

/// The requested cards, each with all of its functions; `auto` becomes an address. That a card which has moved is not at its
/// address is said elsewhere.
pub(crate) fn cards(wanted: &mut Request, host: &Host, findings: &mut Vec<Finding>, has_moved: &dyn Fn(PciAddress) -> bool) -> Vec<Slot> {
    let mut slots = Vec::new();
    for choice in &mut wanted.gpu {
        let card = match choice {
            GpuChoice::Auto => auto(host, findings),
            GpuChoice::At(address) if has_moved(*address) => Card::with(host, *address),
            GpuChoice::At(address) => card_at(host, *address, findings),
        };
        if let Some(card) = card {
            *choice = GpuChoice::At(card.address);
            slots.push(Slot { place: guest_place(host, card.address), functions: card.functions });
        }
    }
    let own_audio = wanted.gpu_audio.filter(|audio| !slots.iter().any(|slot| slot.functions.contains(audio)));
    if let (Some(audio), Some(first)) = (own_audio, slots.first_mut()) {
        first.functions.push(audio);
    }
    slots
}

fn auto(host: &Host, findings: &mut Vec<Finding>) -> Option<Card> {
    let cards = assess(host);
    let choice = choose(&cards);
    if choice.card().is_none() {
        findings.push(Finding::error("no-clear-choice", format!("--gpu auto: {}", choice.because()), choice.remedy()));
    }
    choice.card().and_then(|card| Card::with(host, card.address))
}

fn card_at(host: &Host, address: PciAddress, findings: &mut Vec<Finding>) -> Option<Card> {
    let card = Card::with(host, address);
    if card.is_none() {
        let known: Vec<String> = Card::all(host).iter().map(|card| card.address.short()).collect();
        let known = if known.is_empty() {
            "this host has no graphics cards".to_owned()
        } else {
            format!("the graphics cards of this host are {}", known.join(", "))
        };
        findings.push(match host.device(address) {
            Some(device) => Finding::error(
                "no-graphics-card",
                format!("{} is not a graphics card but {} ({})", address.short(), device.label(), device.class.noun()),
                format!("use --pci {} to pass it through; {known}", address.short()),
            ),
            None => Finding::error(
                "no-such-device",
                format!("PCI function {} does not exist", address.short()),
                format!("run `vgapt list`; {known}"),
            ),
        });
    }
    card
}

/// How these functions are passed, for those that are not managed `<hostdev>`s: virtual functions of network cards, and those that a
/// variant driver of VFIO has. libvirt before 10.0 would bind them to vfio-pci instead, and a vGPU loses its type with its driver.
pub(crate) fn ways<'s>(
    wanted: &Request,
    slots: impl Iterator<Item = &'s Slot>,
    host: &Host,
    findings: &mut Vec<Finding>,
) -> BTreeMap<PciAddress, Way> {
    let mut ways = BTreeMap::new();
    for device in slots.flat_map(|slot| &slot.functions).filter_map(|function| host.device(*function)) {
        let is_virtual = device.physical_function.is_some();
        let choice = wanted.pci.iter().find(|choice| choice.address == device.address);
        let (mac, vlan) = (choice.and_then(|choice| choice.mac.clone()), choice.and_then(|choice| choice.vlan));
        let is_network = is_virtual && device.class.base() == NETWORK;
        if !is_network && (mac.is_some() || vlan.is_some()) {
            findings.push(Finding::error(
                "not-a-network-function",
                format!(
                    "{} is no virtual function of a network card, so libvirt cannot set its MAC address or VLAN",
                    device.address.short()
                ),
                "leave mac= and vlan= out, or name a virtual function: vgapt list --all",
            ));
        }
        let parent = device.physical_function.filter(|_| is_network).and_then(|parent| host.device(parent));
        if let Some(interface) = parent.and_then(|parent| parent.sriov.as_ref()?.down.as_ref()) {
            findings.push(Finding::warning(
                "parent-down",
                PARENT_DOWN.replace("{number}", &device.address.short()).replace("{word}", interface),
                PARENT_DOWN_REMEDY.replace("{word}", interface),
            ));
        }
        let has_variant = device.driver.as_deref().is_some_and(|driver| driver == "nvidia" || (device.on_vfio() && driver != "vfio-pci"));
        let has_it = |way: &Way| way.network.as_ref().is_some_and(|other| other.mac == mac);
        if let Some(mac) = &mac
            && let Some((other, _)) = ways.iter().find(|(_, way): &(&PciAddress, &Way)| has_it(way))
        {
            findings.push(Finding::error(
                "same-mac",
                format!("{} and {} would have the same MAC address {mac}", other.short(), device.address.short()),
                "give each function a mac= of its own, or none: libvirt then chooses one",
            ));
        }
        if is_virtual && (is_network || has_variant) {
            let network = is_network.then_some(NetworkCard { mac, vlan });
            ways.insert(device.address, Way { network, managed: !has_variant });
        }
    }
    ways
}

/// The base class of network controllers.
const NETWORK: u8 = 0x02;

/// Groups functions that share a slot of the host, so that they share one of the guest; functions of the cards are skipped.
pub(crate) fn by_slot(functions: &[PciAddress], cards: &[Slot]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    for function in functions.iter().filter(|function| !cards.iter().any(|card| card.functions.contains(function))) {
        match slots.iter_mut().find(|slot| slot.functions.iter().any(|other| other.same_slot(*function))) {
            Some(slot) if slot.functions.contains(function) => {}
            Some(slot) => {
                slot.functions.push(*function);
                slot.functions.sort_unstable();
            }
            None => slots.push(Slot { functions: vec![*function], place: None }),
        }
    }
    slots
}

/// The functions of a kind with their ids: the present ids if the request changes them, else the ids they had when
/// they were passed.
pub(crate) fn passed(base: &Base, prefix: &str, differ: bool, slots: &[Slot], host: &Host) -> Vec<Passed> {
    if differ {
        return slots.iter().flat_map(|slot| &slot.functions).map(|function| identified(*function, host)).collect();
    }
    let last = base.last.as_ref();
    let known = |address: PciAddress| last.and_then(|last| last.passed.iter().position(|passed| passed.address == address));
    // Functions that were passed manually have no alias of vgapt's.
    let is_of_kind = |address: &PciAddress| {
        last.is_some_and(|last| last.request.pci.iter().any(|choice| choice.address == *address)) == (prefix == alias::PCI)
    };
    let by_hand = |address: PciAddress| last.is_some_and(|last| last.by_hand.contains(&address)) && is_of_kind(&address);
    let own = |hostdev: Element<'_>, address| match alias_of(hostdev).filter(|name| name.starts_with(alias::OURS)) {
        Some(name) => name.starts_with(prefix),
        None => by_hand(address),
    };
    let hostdevs = pci_hostdevs(base.domain.root()).filter(|(hostdev, address)| own(*hostdev, *address));
    let mut functions: Vec<PciAddress> = hostdevs.map(|(_, address)| address).collect();
    functions.sort_by_key(|address| known(*address).unwrap_or(usize::MAX));
    let was = |address| last.and_then(|last| last.passed.get(known(address)?).copied());
    functions.into_iter().map(|address| was(address).unwrap_or_else(|| identified(address, host))).collect()
}

fn identified(address: PciAddress, host: &Host) -> Passed {
    let device = host.device(address);
    Passed { address, id: device.map(|device| device.id), subsystem: device.and_then(|device| device.subsystem) }
}
