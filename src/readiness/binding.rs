//! Binding the cards to vfio-pci: their driver now and at the next boot, cards that are no longer at their address,
//! and bindings and configuration that vgapt does not manage, as prepare finds them.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host::{self, Bind, Bound, ExternalBinding, Whereabouts};
use crate::model::{Cmdline, Finding, PciAddress, PciDevice, Setup, Severity};
use crate::passthrough::{Assessment, Verdict};

const WHY_BOOT: &str =
    "a host driver that has used the card may fail to release it; a card bound to vfio-pci at boot was never used by the host";
const WHY_START: &str =
    "libvirt unbinds the card from the host driver when the domain starts; the driver releases it only when nothing uses the card";
const WHY_IDS: &str = "vfio-pci takes every device with these ids, also one that was added later; vgapt prepare then binds by address";
const WHY_MOVED: &str =
    "PCI addresses change when a card is added or removed; the device that is there now is not bound and stays with the host";

pub(super) fn bound(facts: &Facts) -> Vec<Check> {
    // Binding a card does not help before its group is free, and a card that stays with the host is not bound.
    let stays = |card: &&Assessment| matches!(card.verdict, Verdict::Blocked | Verdict::Reserved | Verdict::Console | Verdict::SharedOut);
    facts.cards.iter().filter(|card| !stays(card)).map(|card| card_binding(facts, card)).collect()
}

fn of(card: &Assessment, seen: String) -> Check {
    Check::ok("binding", Topic::Binding, card.address.short(), seen)
}

fn card_binding(facts: &Facts, card: &Assessment) -> Check {
    let host = facts.host;
    let functions: Vec<&PciDevice> = host.devices(&card.functions).collect();
    if card.verdict == Verdict::Ready || functions.iter().all(|device| device.on_vfio()) {
        let check = of(card, "all its functions are bound to vfio-pci".into());
        let by_other = facts.finding("bound-by-other").is_some();
        if let Some(too) = taken_too(facts) {
            return of(card, format!("all its functions are bound to vfio-pci; {too}"))
                .missing(NextStep::Prepare, WHY_IDS, facts.command())
                .by_command();
        }
        let (lapses, raced) = (facts.finding("lapses").is_some(), facts.finding("raced"));
        let bound = host::bound(facts.setup);
        let set_up = functions.iter().all(|device| bound.iter().any(|bound| bound.is_still(device)));
        return match facts.bind {
            Bind::Boot if facts.writes() && !by_other && lapses => {
                of(card, "all its functions are bound to vfio-pci now, and nothing binds them at the next boot".into())
                    .missing(NextStep::Prepare, WHY_BOOT, facts.command())
                    .by_command()
            }
            Bind::Boot if facts.writes() && !by_other && raced.is_some() => {
                check.care("nothing makes sure that vfio-pci has it at the next boot", facts.command())
            }
            Bind::Boot if facts.plan.makes_initramfs() && set_up && !by_other => {
                check.care("the files that bind it at the next boot are not as vgapt prepare writes them", facts.command())
            }
            Bind::Boot if facts.writes() && !by_other && !set_up => {
                check.care("no configuration was found that binds it at the next boot", facts.command())
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
    if facts.only_virtual {
        return of(card, format!("{on}: a virtual function, so libvirt binds it when the domain starts and nothing binds it at boot"));
    }
    if facts.bind == Bind::Start {
        return of(card, format!("{on}: libvirt binds it when the domain starts")).minor();
    }
    let bound = host::bound(facts.setup);
    let set_up = functions.iter().any(|device| bound.iter().any(|bound| bound.is_still(device)));
    if set_up && !facts.writes() {
        return waiting(facts, card, &on);
    }
    if functions.iter().all(|device| device.driver.is_none()) && !host.pci.iter().all(|device| device.driver.is_none()) {
        return of(card, format!("{on}: libvirt binds it when the domain starts"))
            .care("a driver that is loaded later may bind it first", facts.command());
    }
    let on = taken_too(facts).map_or_else(|| on.clone(), |too| format!("{on}; {too}"));
    of(card, on).missing(NextStep::Prepare, WHY_BOOT, facts.command()).by_command()
}

/// What vgapt's own file takes besides, if prepare would change that.
fn taken_too(facts: &Facts) -> Option<String> {
    let taken = host::taken_by_ids(facts.host, facts.setup);
    let other: Vec<PciAddress> = taken.into_iter().filter(|function| !facts.functions.contains(function)).collect();
    let is = if other.len() == 1 { "is" } else { "are" };
    (facts.writes() && !other.is_empty())
        .then(|| format!("{} binds by ids, so {} {is} taken too", host::MODPROBE, PciAddress::list(&other)))
}

/// Whether the cards will be bound at the next boot, whatever has them now.
pub(super) fn at_next_boot(facts: &Facts) -> Vec<Check> {
    let (bound, others) = (host::bound(facts.setup), host::others(facts.host, facts.setup));
    // Of what is not understood it is not known what it binds.
    let is_unknown = others.iter().any(ExternalBinding::is_unknown);
    let one = |card: &Assessment| {
        if facts.bind == Bind::Start {
            return of(card, "libvirt binds it when the domain starts".into());
        }
        let lacks: Vec<PciAddress> = facts
            .host
            .devices(&card.functions)
            .filter(|device| !bound.iter().any(|bound| bound.is_still(device)))
            .map(|device| device.address)
            .collect();
        let (other, raced) = (facts.finding("bound-by-other"), facts.finding("raced"));
        let is_by_other = |function: &&PciAddress| others.iter().any(|other| other.binds(**function));
        let by_none: Vec<PciAddress> = lacks.iter().filter(|function| !is_by_other(function)).copied().collect();
        match (other, raced) {
            _ if lacks.is_empty() => of(card, "is set up to be bound to vfio-pci".into()),
            (Some(other), _) if by_none.is_empty() || is_unknown => of(card, other.message.clone()),
            (None, _) if by_none.is_empty() => of(card, "another tool's configuration binds it to vfio-pci".into()),
            (_, Some(_)) => {
                let check = of(card, format!("nothing makes sure that vfio-pci has {} at the next boot", PciAddress::list(&by_none)));
                if facts.host.devices(&by_none).all(PciDevice::on_vfio) {
                    check.care(WHY_BOOT, facts.command())
                } else {
                    check.missing(NextStep::Prepare, WHY_BOOT, facts.command()).by_command()
                }
            }
            _ => of(card, format!("nothing is set up that binds {} to vfio-pci at the boot", PciAddress::list(&by_none)))
                .missing(NextStep::Prepare, WHY_BOOT, facts.command())
                .by_command(),
        }
    };
    facts.cards.iter().map(one).collect()
}

/// Set up, but not bound yet.
fn waiting(facts: &Facts, card: &Assessment, on: &str) -> Check {
    let line = facts.host.platform.cmdline.clone().unwrap_or_default();
    if let Some(parameter) = switched_off(facts.setup, &line) {
        return of(card, format!("{on}: the binding is disabled for this boot by {parameter}")).missing(
            NextStep::Reboot,
            "the kernel command line requests it",
            format!("reboot without {parameter}"),
        );
    }
    of(card, format!("{on}: set up to be bound at the next boot")).missing(
        NextStep::Reboot,
        WHY_BOOT,
        format!("{}; if that does not help, see what is in the initramfs and in the kernel log: vgapt check -v", facts.reboot()),
    )
}

/// The kernel parameter that keeps vfio-pci from being loaded, if there is one.
pub(super) fn switched_off(setup: &Setup, line: &Cmdline) -> Option<String> {
    let parameters = line.of_modules().filter_map(|token| token.split_once('='));
    // Only the last module_blacklist takes effect; several of the other parameters add up.
    let mut counted = parameters.filter(|(name, value)| *name != "module_blacklist" || line.get(name) == Some(*value));
    counted.find_map(|(name, value)| Some(format!("{name}={}", host::kept_out(setup, name, value).first()?)))
}

/// Functions set up by address whose address now holds another device: what is there now, and where the card is.
pub(super) fn moved(facts: &Facts) -> Vec<Check> {
    let host = facts.host;
    let bound = host::bound(facts.setup);
    let is_moved = |bound: &&Bound| host.device(bound.address).is_none_or(|device| !bound.is_still(device));
    bound.iter().filter(is_moved).map(|bound| moved_check(facts, bound)).collect()
}

fn moved_check(facts: &Facts, bound: &Bound) -> Check {
    let host = facts.host;
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
    let whereabouts = Whereabouts::of(bound, host, facts.setup);
    let is_where = match &whereabouts {
        Whereabouts::Gone => "the card was not found".to_owned(),
        Whereabouts::At(place) => format!("the card is at {}", place.short()),
        Whereabouts::Unclear(places) => format!("the card may be at {}, whose ids are the same", PciAddress::list(places)),
    };
    let seen = format!("was set up to be bound as {}, but that device is not there: {now}; {is_where}", bound.id);
    let check = Check::ok("moved", Topic::Binding, bound.address.short(), seen);
    let missing = |remedy: String| check.clone().missing(NextStep::Prepare, WHY_MOVED, remedy);
    match (&whereabouts, whereabouts.option(host)) {
        (_, Some(option)) => missing(format!("vgapt prepare {option}")).by_command(),
        (Whereabouts::Unclear(_), None) => missing("vgapt does not guess between equal cards: see them with vgapt list, and name the one for the guest: vgapt prepare --gpu ADDRESS".to_owned()),
        _ => missing("put the card back, or take the binding back: vgapt undo".to_owned()),
    }
}

/// A line that keeps the host's driver of a card from loading: it explains why the card has none, and it stays when the card is to
/// be given back to the host.
pub(super) fn driver_kept_out(facts: &Facts, card: &Assessment) -> Option<Check> {
    let is_told = ["no-display", "display-kept-out"].iter().any(|code| facts.finding(code).is_some());
    let has_driver = facts.host.device(card.address).is_none_or(|device| device.driver.is_some() && !device.on_vfio());
    let lines = host::drivers_kept_out(facts.host, facts.setup, &[card.address]);
    (!lines.is_empty() && !is_told && !has_driver).then(|| {
        let seen = format!("{}: the host does not use the card, whether or not a guest has it", lines.join(", "));
        Check::ok("driver-kept-out", Topic::Binding, format!("{}, its host driver", card.address.short()), seen)
    })
}

/// Why unbinding a card from the running host may fail.
pub(super) fn doubts(facts: &Facts) -> Vec<Check> {
    let subject = facts.cards.first().map(|card| card.address.short()).unwrap_or_default();
    let doubts = facts.plan.findings.iter().filter(|finding| finding.code == "bind-start");
    doubts.map(|finding| Check::of_finding(finding, Topic::Binding, &subject, WHY_START)).collect()
}

/// The findings of prepare that are reported here.
pub(super) const REPORTED_WITH_BINDING: [&str; 17] = [
    "also-bound",
    "bound-by-other",
    "display-kept-out",
    "generated",
    "install-line",
    "lapses",
    "raced",
    "modprobe-unread",
    "no-display",
    "no-ids",
    "not-read",
    "removed-by-other",
    "softdep",
    "switched-by-other",
    UNREAD,
    "vfio-blacklisted",
    "virtual-function",
];
/// Reported with the configuration.
const UNREAD: &str = "unread";
const WHY_OTHER: &str = "vgapt neither verifies nor reverts what another tool's files do at boot";

/// Bindings and configuration that vgapt does not manage.
pub(super) fn others(facts: &Facts) -> Vec<Check> {
    let told = facts.plan.findings.iter().filter(|finding| REPORTED_WITH_BINDING.contains(&finding.code) && finding.code != UNREAD);
    told.map(|finding| other(facts, finding)).collect()
}

fn other(facts: &Facts, finding: &Finding) -> Check {
    let check = Check::ok(finding.code, Topic::Binding, subject(facts, finding), finding.message.clone());
    let why = match finding.code {
        "generated" => "files written outside a system's own configuration are lost with its next version",
        "no-display" | "display-kept-out" => "if the boot fails before the network is up, no display shows the cause",
        "virtual-function" => "only a device that exists at boot can be bound at boot",
        "not-read" => "somebody wrote it for a purpose, but it has no effect",
        "removed-by-other" => "neither the host nor a guest can use a device that is removed from the bus",
        "no-ids" => "it binds nothing to vfio-pci, which was probably not intended",
        "lapses" | "raced" => "the card is bound at the next boot only by what that boot reads, whatever has it now",
        "vfio-blacklisted" => "the kernel command line overrides the files of modprobe",
        "install-line" | "softdep" => "of several lines for a module kmod uses only the first, in the order of file names",
        "switched-by-other" => "what vgapt binds, the other program may bind to another driver, or remove from the bus",
        _ => WHY_OTHER,
    };
    if finding.severity == Severity::Warning {
        return check.care(why, finding.remedy.clone());
    }
    check.blocked(NextStep::Prepare, why, finding, &facts.command())
}

/// A finding because of which prepare cannot do what is missing, if something is.
pub(super) fn refused(facts: &Facts, finding: &Finding, is_needed: bool) -> Check {
    let why = "vgapt prepare changes all that is needed, or nothing";
    let check = Check::ok(finding.code, Topic::Boot, finding.code.replace('-', " "), finding.message.clone());
    if is_needed {
        check.blocked(NextStep::Prepare, why, finding, &facts.command())
    } else {
        check.care(why, finding.remedy_by(&facts.command()))
    }
}

fn subject(facts: &Facts, finding: &Finding) -> String {
    match finding.code {
        "no-display" | "display-kept-out" => "the host's display".to_owned(),
        "generated" => "configuration".to_owned(),
        // Whoever wrote them: an earlier boot loader's file may have vgapt's own.
        "not-read" => "lines without effect".to_owned(),
        "also-bound" | "no-ids" | "modprobe-unread" | "vfio-blacklisted" => "files of other tools".to_owned(),
        _ => facts.cards.first().map_or_else(|| "files of other tools".to_owned(), |card| card.address.short()),
    }
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
