//! Which resets a card has, in the order of harm, what each of them hits, and what is against it.

use super::dangers::{DangerKind, dangers};
use super::families::{self, Fault};
use crate::model::{Card, Finding, Host, Ladder, PciAddress, PciDevice, ResetFunction, ResetWay, Rung, Uses, shell_word};

/// The kernel's methods in the order in which it prefers them itself (`pci_reset_fn_methods` of drivers/pci/pci.c); the order
/// in `reset_method` may have been changed.
const METHODS: [&str; 7] = ["device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus"];
/// The methods that reset the bus of a function.
const OF_THE_BUS: [&str; 2] = ["bus", "cxl_bus"];

/// Dangers of passing a function through that are none of resetting it.
const HARMLESS: [DangerKind; 3] = [DangerKind::HostBlind, DangerKind::ReservedMemory, DangerKind::BlockedGroup];
/// The same where no host driver is bound to it, so that it shows nothing of the host's.
const HARMLESS_UNBOUND: [DangerKind; 2] = [DangerKind::OnlyDisplay, DangerKind::OnlyPicture];

/// Who uses a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionUser {
    /// A domain that runs.
    Domain(String),
    /// A process: its name, its number and the nodes that it has open.
    Process(String),
    /// It could not be read.
    Unknown(String),
}

/// What the ladder of a card depends on.
#[derive(Debug, Clone, Copy)]
pub struct ResetFacts<'a> {
    pub host: &'a Host,
    pub uses: &'a Uses,
    /// Those who use functions that a reset may hit.
    pub users: &'a [(PciAddress, FunctionUser)],
    /// The bridges that can reset all that is behind them.
    pub bridges: &'a [PciAddress],
    /// Whether a suspend is wanted, and if so, why it is not possible.
    pub suspend: Option<Option<&'a str>>,
}

/// The functions that are reset with this one: those of its card, else itself alone.
pub fn reset_together(host: &Host, address: PciAddress) -> Vec<PciAddress> {
    let mut functions = Card::with(host, address).map_or_else(|| vec![address], |card| card.functions);
    functions.sort_by_key(|function| (*function != address, *function));
    functions
}

/// All functions that any reset of these may hit: they themselves, and what is behind the same bridge.
pub fn within_reach(host: &Host, functions: &[PciAddress]) -> Vec<PciAddress> {
    let above: Vec<PciAddress> = functions.iter().filter_map(|function| bridge_above(host, *function)).collect();
    let behind = above.iter().flat_map(|bridge| behind(host, *bridge));
    let mut all: Vec<PciAddress> = functions.iter().copied().chain(behind).collect();
    all.extend(host.virtual_functions_of(&all));
    all.sort_unstable();
    all.dedup();
    all
}

fn bridge_above(host: &Host, function: PciAddress) -> Option<PciAddress> {
    host.device(function)?.ancestors.last().copied()
}

/// The functions behind a bridge that are no bridges.
fn behind(host: &Host, bridge: PciAddress) -> impl Iterator<Item = PciAddress> {
    host.pci.iter().filter(move |device| device.ancestors.contains(&bridge) && !device.is_bridge()).map(|device| device.address)
}

/// What is against a reset of this function.
pub fn against_reset(facts: &ResetFacts, function: PciAddress) -> Vec<Finding> {
    let at = function.short();
    let Some(device) = facts.host.device(function) else { return Vec::new() };
    if device.is_bridge() {
        let remedy = "name a card behind it: vgapt list shows the cards";
        return vec![Finding::error("bridge", format!("{at} is a bridge, which is reset with what is behind it"), remedy)];
    }
    if device.class.is_any_bridge() {
        let remedy = "name a card: vgapt list shows the cards";
        return vec![Finding::error("mainboard", format!("{at} is part of the mainboard: {}", device.class.noun()), remedy)];
    }
    let bound = device.driver.as_deref().filter(|_| !device.on_vfio());
    let is_harmless = |kind: &DangerKind| HARMLESS.contains(kind) || (bound.is_none() && HARMLESS_UNBOUND.contains(kind));
    let of_host = dangers(facts.host, facts.uses, &[function]).into_iter().filter(|danger| !is_harmless(&danger.kind));
    let mut findings: Vec<Finding> = of_host.map(|danger| Finding::error(danger.kind.code(), danger.message, danger.remedy)).collect();
    let is_of_card = facts.host.pci.iter().any(|other| other.address.same_slot(function) && other.class.is_display());
    let option = if is_of_card { "--gpu" } else { "--pci" };
    // What the host needs is not to be taken from its driver.
    if let Some(driver) = bound.filter(|_| findings.is_empty()) {
        findings.push(Finding::error(
            "driver-bound",
            format!("{at} is bound to {driver}, which would lose it in the middle of its work"),
            format!(
                "take it from its driver first: virsh nodedev-detach {}; or bind it at boot: vgapt prepare {option} {at}",
                node_device(function)
            ),
        ));
    }
    let users = || facts.users.iter().filter(|(used, _)| *used == function).map(|(_, user)| user);
    // The process of a domain that is known tells nothing more.
    let domain = users().find(|user| matches!(user, FunctionUser::Domain(_)));
    for user in domain.into_iter().chain(users().filter(|_| domain.is_none())) {
        findings.push(match user {
            FunctionUser::Domain(name) => Finding::error(
                "in-use",
                format!("the domain '{name}' is running with {at}"),
                format!("stop it first: vgapt stop {}", shell_word(name)),
            ),
            FunctionUser::Process(process) => {
                Finding::error("in-use", format!("{at} is in use by {process}"), "end that process first, in its own way if it is a guest")
            }
            FunctionUser::Unknown(because) => Finding::error(
                "users-unknown",
                format!("whether {at} is in use is unknown: {because}"),
                "run vgapt as root, without confinement (AppArmor, SELinux)",
            ),
        });
    }
    findings
}

/// The name of a function among libvirt's node devices.
pub fn node_device(function: PciAddress) -> String {
    format!("pci_{}", function.to_string().replace([':', '.'], "_"))
}

/// The ladder of these functions.
pub fn ladder(facts: &ResetFacts, functions: &[PciAddress]) -> Ladder {
    let host = facts.host;
    let mut rungs: Vec<Rung> = methods(host, functions).into_iter().map(|name| method(host, functions, name)).collect();
    let bridge = functions.first().and_then(|function| bridge_above(host, *function)).filter(|bridge| facts.bridges.contains(bridge));
    let rung = |way: ResetWay, hits: Vec<PciAddress>| Rung { left_out: in_the_way(facts, functions, &hits), way, hits };
    // What is behind the bridge is hit with the functions; if somebody uses that, they are removed and found again without it.
    let of_bridge = bridge.map(|bridge| rung(ResetWay::Bridge(bridge), within_reach(host, functions)));
    let is_free = of_bridge.as_ref().is_some_and(|rung| rung.left_out.is_none());
    let hits = if is_free { within_reach(host, functions) } else { functions.to_vec() };
    rungs.extend(of_bridge);
    rungs.push(rung(ResetWay::Rescan(bridge.filter(|_| is_free)), hits));
    if let Some(because) = facts.suspend {
        rungs.push(Rung { way: ResetWay::Suspend, hits: functions.to_vec(), left_out: because.map(str::to_owned) });
    }
    let of = |device: &PciDevice| ResetFunction { address: device.address, id: device.id, driver: device.driver.clone() };
    Ladder { functions: host.devices(functions).map(of).collect(), rungs }
}

/// The kernel's methods for these functions, in the order of harm; those that are not known here come last.
fn methods<'h>(host: &'h Host, functions: &'h [PciAddress]) -> Vec<&'h str> {
    let mut names: Vec<&str> =
        host.devices(functions).flat_map(|device| device.reset_methods.iter().flatten().map(String::as_str)).collect();
    let rank = |name: &str| METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len());
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names
}

fn method(host: &Host, functions: &[PciAddress], name: &str) -> Rung {
    let has = |device: &&PciDevice| device.reset_methods.iter().flatten().any(|method| method == name);
    let hits: Vec<PciAddress> = host.devices(functions).filter(has).map(|device| device.address).collect();
    // The kernel finds out which methods a function has before it has found the others of its bus, so it names this one too often
    // (`pci_parent_bus_reset` of drivers/pci/pci.c; NVIDIA/open-gpu-kernel-modules#1353).
    let beside = OF_THE_BUS.contains(&name).then(|| hits.iter().find_map(|hit| beside(host, *hit))).flatten();
    let left_out =
        beside.map(|other| format!("the kernel resets a bus only for a function that is alone on it, and {} is there too", other.short()));
    Rung { way: ResetWay::Method(name.to_owned()), hits, left_out }
}

/// Another function on the bus of this one.
fn beside(host: &Host, function: PciAddress) -> Option<PciAddress> {
    let bus = |address: PciAddress| (address.domain, address.bus);
    host.pci.iter().map(|device| device.address).find(|other| *other != function && bus(*other) == bus(function))
}

/// Why others than the functions themselves may not be hit.
fn in_the_way(facts: &ResetFacts, functions: &[PciAddress], hits: &[PciAddress]) -> Option<String> {
    let others = hits.iter().filter(|hit| !functions.contains(hit));
    others.flat_map(|hit| against_reset(facts, *hit)).map(|finding| finding.message).next()
}

/// Whether cards like this are known for not recovering from the reset when a guest ends.
pub fn needs_resets(host: &Host, functions: &[PciAddress]) -> bool {
    let mut cards = Card::all(host).into_iter().filter(|card| functions.contains(&card.address));
    let is_known = |card: Card| {
        let family = families::of(host.device(card.address)?.id, card.kind)?;
        (family.fault != Fault::NeedsOpRegion).then_some(())
    };
    cards.find_map(is_known).is_some()
}

/// What can reset a card, in words; a warning where nothing can, or only together with devices that are not its own.
pub struct Resets {
    pub seen: String,
    pub warning: Option<(&'static str, String)>,
}

/// The rungs of a card as far as its host can be read by everybody; `None` where that is unknown, or where there is no method,
/// of which the card's warnings tell.
pub fn resets(host: &Host, card: PciAddress, functions: &[PciAddress]) -> Option<Resets> {
    let address = [card];
    let names = methods(host, &address);
    if names.is_empty() {
        return None;
    }
    let others: Vec<PciAddress> = beside_card(host, card, functions);
    let is_alone = names.iter().all(|name| OF_THE_BUS.contains(name));
    if is_alone && !others.is_empty() {
        let others = PciAddress::list(&others);
        let seen = format!("can be reset only by its bus, which {others} shares");
        return Some(Resets {
            seen,
            warning: Some((
                "the kernel then resets it only if a guest has all functions of the bus, so a second start may find it in the state of the first",
                format!("pass {others} through too, or use a slot that is not behind a conventional bridge"),
            )),
        });
    }
    let only_together = is_alone && functions.len() > 1;
    let seen = format!("can be reset: {}{}", names.join(", "), if only_together { " (all of its functions together)" } else { "" });
    Some(Resets { seen, warning: None })
}

/// The functions on the bus of a card that are none of its own.
fn beside_card(host: &Host, card: PciAddress, functions: &[PciAddress]) -> Vec<PciAddress> {
    let on_bus = |device: &&PciDevice| (device.address.domain, device.address.bus) == (card.domain, card.bus);
    host.pci.iter().filter(on_bus).map(|device| device.address).filter(|other| !functions.contains(other)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    fn device(address: &str, class: u32, methods: &[&str]) -> PciDevice {
        let methods = methods.iter().map(|name| (*name).to_owned()).collect();
        PciDevice {
            id: "1002:67df".parse().unwrap(),
            class: Class(class),
            header_type: Some(u8::from(class >> 16 == 6)),
            reset_methods: Some(methods),
            ancestors: if address.starts_with("00:") { Vec::new() } else { vec![at("00:01.0")] },
            ..PciDevice::new(at(address))
        }
    }

    fn at(address: &str) -> PciAddress {
        address.parse().unwrap()
    }

    /// A card with two functions behind a bridge.
    fn host(more: Vec<PciDevice>) -> Host {
        let mut pci = vec![
            device("00:01.0", 0x06_04_00, &[]),
            device("01:00.0", 0x03_00_00, &["bus", "pm", "flr", "new"]),
            device("01:00.1", 0x04_03_00, &["pm"]),
        ];
        pci.extend(more);
        pci.sort_by_key(|device| device.address);
        Host { pci, ..Host::default() }
    }

    fn facts<'a>(host: &'a Host, uses: &'a Uses, users: &'a [(PciAddress, FunctionUser)], bridges: &'a [PciAddress]) -> ResetFacts<'a> {
        ResetFacts { host, uses, users, bridges, suspend: None }
    }

    fn ways(ladder: &Ladder) -> Vec<(String, bool)> {
        ladder.rungs.iter().map(|rung| (rung.way.to_string(), rung.left_out.is_none())).collect()
    }

    #[test]
    fn in_the_order_of_harm_and_each_with_what_it_hits() {
        let (host, uses) = (host(Vec::new()), Uses::default());
        let bridges = [at("00:01.0")];
        let functions = reset_together(&host, at("01:00.0"));
        let ladder = ladder(&ResetFacts { suspend: Some(None), ..facts(&host, &uses, &[], &bridges) }, &functions);
        let wanted = [
            ("the kernel's method flr", true),
            ("the kernel's method pm", true),
            // 01:00.1 is on the bus too.
            ("the kernel's method bus", false),
            ("the kernel's method new", true),
            ("a reset of the bus behind 00:01.0", true),
            ("removal, a reset of the bus behind 00:01.0, and a rescan", true),
            ("a suspend of the host to RAM", true),
        ];
        assert_eq!(ways(&ladder), wanted.map(|(way, is_usable)| (way.to_owned(), is_usable)));
        assert_eq!(ladder.rungs[0].hits, [at("01:00.0")]);
        assert_eq!(ladder.rungs[1].hits, [at("01:00.0"), at("01:00.1")]);
        assert!(ladder.rungs.iter().filter(|rung| ladder.hits_only_own(rung)).count() == 6, "all but the suspend");
    }

    #[test]
    fn what_others_use_is_not_hit() {
        let other = device("02:00.0", 0x02_00_00, &["flr"]);
        let on_driver = PciDevice { driver: Some("e1000e".to_owned()), ..other.clone() };
        let (uses, bridges, functions) = (Uses::default(), [at("00:01.0")], [at("01:00.0"), at("01:00.1")]);
        let rungs = |host: &Host, users: &[(PciAddress, FunctionUser)]| {
            let ladder = ladder(&facts(host, &uses, users, &bridges), &functions);
            let [.., bridge, rescan] = &ladder.rungs[..] else { panic!("{ladder:?}") };
            assert_eq!(ladder.hits_only_own(bridge), host.pci.len() == 3);
            (bridge.left_out.clone(), rescan.way.clone(), rescan.hits.len())
        };
        let free = host(vec![other]);
        assert_eq!(rungs(&free, &[]), (None, ResetWay::Rescan(Some(at("00:01.0"))), 3));
        let domain = [(at("02:00.0"), FunctionUser::Domain("win11".to_owned()))];
        let (left_out, way, hits) = rungs(&free, &domain);
        assert!(left_out.unwrap().contains("'win11'") && way == ResetWay::Rescan(None) && hits == 2);
        let (left_out, way, hits) = rungs(&host(vec![on_driver]), &[]);
        assert!(left_out.unwrap().contains("e1000e") && way == ResetWay::Rescan(None) && hits == 2);
    }

    #[test]
    fn a_function_in_use_is_refused_with_the_way_out() {
        let mut host = host(vec![PciDevice { driver: Some("i915".to_owned()), ..device("02:00.0", 0x03_00_00, &[]) }]);
        let uses = Uses::default();
        let found = |host: &Host, users: &[(PciAddress, FunctionUser)]| {
            let findings = against_reset(&facts(host, &uses, users, &[]), at("01:00.0"));
            findings.into_iter().map(|finding| (finding.code, finding.remedy)).collect::<Vec<_>>()
        };
        assert_eq!(found(&host, &[]), []);
        host.pci[1].driver = Some("vfio-pci".to_owned());
        assert_eq!(found(&host, &[]), []);
        let domain = ["/dev/vfio/1", ""].map(|node| (at("01:00.0"), FunctionUser::Process(format!("qemu {node}"))));
        assert_eq!(found(&host, &domain).len(), 2);
        let domain = [domain[0].clone(), (at("01:00.0"), FunctionUser::Domain("a b".to_owned()))];
        assert_eq!(found(&host, &domain), [("in-use", "stop it first: vgapt stop 'a b'".to_owned())]);
        let unknown = [(at("01:00.0"), FunctionUser::Unknown("no".to_owned()))];
        assert_eq!(found(&host, &unknown)[0].0, "users-unknown");
        host.pci[1].driver = Some("amdgpu".to_owned());
        let [(code, remedy)] = &found(&host, &[])[..] else { panic!() };
        assert!(*code == "driver-bound" && remedy.contains("virsh nodedev-detach pci_0000_01_00_0"), "{remedy}");
        // The host's only display, and a bridge, are not taken from their drivers.
        host.pci.pop();
        assert_eq!(found(&host, &[])[0].0, "only-display");
        host.pci[1] = PciDevice { class: Class(0x06_04_00), header_type: Some(1), ..host.pci[1].clone() };
        assert_eq!(found(&host, &[])[0].0, "bridge");
    }

    #[test]
    fn a_bus_that_others_share_is_no_reset_of_the_card() {
        let seen = |host: &Host| {
            let resets = resets(host, at("01:00.0"), &[at("01:00.0"), at("01:00.1")]).unwrap();
            (resets.seen, resets.warning.is_some())
        };
        let mut host = host(Vec::new());
        assert_eq!(seen(&host), ("can be reset: flr, pm, bus, new".to_owned(), false));
        host.pci[1].reset_methods = Some(vec!["bus".to_owned()]);
        assert_eq!(seen(&host), ("can be reset: bus (all of its functions together)".to_owned(), false));
        host.pci.push(device("01:02.0", 0x02_00_00, &[]));
        assert_eq!(seen(&host), ("can be reset only by its bus, which 01:02.0 shares".to_owned(), true));
        host.pci[1].reset_methods = Some(Vec::new());
        assert!(resets(&host, at("01:00.0"), &[at("01:00.0")]).is_none());
    }

    #[test]
    fn which_cards_are_known_for_it() {
        let mut host = host(Vec::new());
        assert!(needs_resets(&host, &[at("01:00.0"), at("01:00.1")]));
        assert!(!needs_resets(&host, &[at("01:00.1")]));
        host.pci[1].id = "10de:1401".parse().unwrap();
        host.pci[2].id = "10de:1401".parse().unwrap();
        assert!(!needs_resets(&host, &[at("01:00.0")]));
    }
}
