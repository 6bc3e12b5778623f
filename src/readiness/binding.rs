//! Binding the cards to vfio-pci: their driver now and at the next boot, and cards that were set up to be
//! bound and are no longer at their address.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::host::{self, Bind, Bound};
use crate::model::{Cmdline, PciDevice, Setup};
use crate::passthrough::{Assessment, Verdict};

const WHY_BOOT: &str =
    "a host driver that has used the card may fail to release it; a card bound to vfio-pci at boot was never used by the host";
const WHY_START: &str =
    "libvirt unbinds the card from the host driver when the domain starts; the driver releases it only when nothing uses the card";
const WHY_MOVED: &str =
    "PCI addresses change when a card is added or removed; the device that is there now is not bound and stays with the host";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let mut checks: Vec<Check> = moved(prepared);
    // Binding a card does not help before its group is free, and a card that stays with the host is not bound.
    let stays = |card: &&Assessment| matches!(card.verdict, Verdict::Blocked | Verdict::Console | Verdict::SharedOut);
    let worth_it = prepared.facts.cards.iter().filter(|card| !stays(card));
    checks.extend(worth_it.map(|card| card_binding(prepared, card)));
    checks.extend(start_doubts(prepared));
    checks
}

fn of(card: &Assessment, seen: String) -> Check {
    Check::ok("binding", Group::Binding, card.address.short(), seen)
}

fn card_binding(prepared: &Prepared, card: &Assessment) -> Check {
    let host = prepared.facts.host;
    let functions: Vec<&PciDevice> = host.devices(&card.functions).collect();
    if card.verdict == Verdict::Ready || functions.iter().all(|device| device.on_vfio()) {
        let check = of(card, "all its functions are bound to vfio-pci".into());
        let by_other = prepared.plan.findings.iter().any(|finding| finding.code == "bound-by-other");
        return match prepared.bind() {
            Bind::Boot if prepared.writes() && !by_other => {
                check.care("no configuration was found that binds it at the next boot", prepared.command())
            }
            _ => check,
        };
    }
    let on: Vec<String> = functions
        .iter()
        .filter(|device| !device.on_vfio())
        .map(|device| {
            format!(
                "{} {}",
                device.address.short(),
                device.driver.as_deref().map_or_else(|| "without a driver".into(), |driver| format!("on {driver}"))
            )
        })
        .collect();
    let on = on.join(", ");
    if prepared.only_virtual() {
        return of(card, format!("{on}: a virtual function, so libvirt binds it when the domain starts and nothing binds it at boot"));
    }
    if prepared.bind() == Bind::Start {
        return of(card, format!("{on}: libvirt binds it when the domain starts")).minor();
    }
    let bound = host::bound(prepared.facts.setup);
    let set_up = functions.iter().any(|device| bound.iter().any(|bound| bound.is_still(device)));
    if set_up && !prepared.writes() {
        return waiting(prepared, card, &on);
    }
    if functions.iter().all(|device| device.driver.is_none()) && !host.pci.iter().all(|device| device.driver.is_none()) {
        return of(card, format!("{on}: libvirt binds it when the domain starts"))
            .care("a driver that is loaded later may bind it first", prepared.command());
    }
    of(card, on).missing(Step::Prepare, WHY_BOOT, prepared.command())
}

/// Set up, but not bound yet.
fn waiting(prepared: &Prepared, card: &Assessment, on: &str) -> Check {
    let line = prepared.facts.host.platform.cmdline.clone().unwrap_or_default();
    if let Some(parameter) = switched_off(prepared.facts.setup, &line) {
        return of(card, format!("{on}: the binding is disabled for this boot by {parameter}")).missing(
            Step::Reboot,
            "the kernel command line requests it",
            format!("reboot without {parameter}"),
        );
    }
    of(card, format!("{on}: set up to be bound at the next boot")).missing(
        Step::Reboot,
        WHY_BOOT,
        format!(
            "{} (if the host was rebooted since: vgapt check -v shows what is in the initramfs and in the kernel log)",
            prepared.reboot()
        ),
    )
}

/// The kernel parameter that keeps vfio-pci from being loaded, if there is one.
fn switched_off(setup: &Setup, line: &Cmdline) -> Option<String> {
    let parameters = line.0.split_ascii_whitespace().filter_map(|token| token.split_once('='));
    // Only the last module_blacklist takes effect; several of the other parameters add up.
    let mut counted = parameters.filter(|(name, value)| *name != "module_blacklist" || line.get(name) == Some(*value));
    counted.find_map(|(name, value)| Some(format!("{name}={}", host::kept_out(setup, name, value).first()?)))
}

/// Functions set up by address whose address now holds another device: what is there now, and where the card is.
fn moved(prepared: &Prepared) -> Vec<Check> {
    let host = prepared.facts.host;
    let bound = host::bound(prepared.facts.setup);
    let is_moved = |bound: &&Bound| host.device(bound.address).is_none_or(|device| !bound.is_still(device));
    bound.iter().filter(is_moved).map(|bound| moved_check(prepared, bound)).collect()
}

fn moved_check(prepared: &Prepared, bound: &Bound) -> Check {
    let host = prepared.facts.host;
    let now = host.device(bound.address).map_or_else(
        || "nothing is there now".to_owned(),
        |device| {
            format!(
                "{} is there now [{}]{}",
                device.label(),
                device.id,
                device.driver.as_deref().map(|driver| format!(", on {driver}")).unwrap_or_default()
            )
        },
    );
    let same = |device: &&PciDevice| device.id == bound.id && device.subsystem.unwrap_or_default() == bound.subsystem;
    let elsewhere: Vec<String> = host.pci.iter().filter(same).map(|device| device.address.short()).collect();
    let check = Check::ok(
        "moved",
        Group::Binding,
        bound.address.short(),
        format!(
            "was set up to be bound as {}, and is not: {now}; {}",
            bound.id,
            if elsewhere.is_empty() { "the card was not found".to_owned() } else { format!("the card is at {}", elsewhere.join(", ")) }
        ),
    );
    // An audio function moves with its card.
    let card = elsewhere.iter().find_map(|address| crate::model::Card::with(host, address.parse().ok()?));
    let remedy = match card {
        Some(card) => format!("vgapt prepare --gpu {}", card.address.short()),
        None => "vgapt undo, or put the card back".to_owned(),
    };
    check.missing(Step::Prepare, WHY_MOVED, remedy)
}

/// Why unbinding a card from the running host may fail.
fn start_doubts(prepared: &Prepared) -> Vec<Check> {
    let subject = prepared.facts.cards.first().map(|card| card.address.short()).unwrap_or_default();
    let doubts = prepared.plan.findings.iter().filter(|finding| finding.code == "bind-start");
    doubts.map(|finding| Check { why: WHY_START.to_owned(), ..Check::of_finding(finding, Group::Binding, &subject) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch() {
        let off = |line: &str| switched_off(&Setup::default(), &Cmdline(line.into()));
        for (line, by) in [
            ("quiet module_blacklist=nouveau,vfio_pci", Some("module_blacklist=vfio_pci")),
            ("module_blacklist=nouveau,vfio", Some("module_blacklist=vfio")),
            ("module_blacklist=nouveau", None),
            ("module_blacklist=vfio_pci module_blacklist=nouveau", None),
            ("rd.driver.blacklist=vfio-pci", Some("rd.driver.blacklist=vfio-pci")),
            ("modprobe.blacklist=vfio-pci modprobe.blacklist=nouveau", Some("modprobe.blacklist=vfio-pci")),
            // kmod ignores only modules requested by an alias, and vfio is requested by its name.
            ("modprobe.blacklist=vfio", None),
            // This has no effect on a module that is not built in.
            ("initcall_blacklist=vfio_pci_init", None),
        ] {
            assert_eq!(off(line).as_deref(), by, "{line}");
        }
    }
}
