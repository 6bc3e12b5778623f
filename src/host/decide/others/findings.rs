//! What other bindings mean for the request: the devices that they bind, a host without a display, and their mistakes.

use super::external::{ExternalBinding, Lapse, ModuleBlocker, union};
use super::found::{others, to_host};
use super::kept_out::display_drivers_kept_out;
use super::scripts::removing;
use super::{command_lines, modules};
use crate::host::decide::bound::{bound, taken_by_ids};
use crate::host::decide::loaders;
use crate::host::request::{Allow, Bind, Handling, Wanted};
use crate::model::{Card, Finding, Host, PciAddress, PciDevice, Setup};
use crate::passthrough::{Danger, DangerKind, dangers, displays_on_vfio, has_outlets};

/// The class of USB controllers.
const USB: u16 = 0x0c03;
/// Introduces the option to leave the host without a display.
const KEEP_SO: &str = "to leave it like this (and use the host over ssh)";

/// The host, the request, and the bindings found.
struct BindingContext<'a> {
    host: &'a Host,
    setup: &'a Setup,
    wanted: &'a Wanted,
    /// What vgapt binds.
    ours: Vec<PciAddress>,
    /// What others bind.
    others: Vec<ExternalBinding>,
}

/// The findings about other bindings: requested devices they bind, further devices they bind, and their mistakes.
pub(in crate::host::decide) fn findings(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let ours = bound(setup).iter().map(|bound| bound.address).collect();
    let context = BindingContext { host, setup, wanted, ours, others: others(host, setup) };
    let of_other = |other| [of_selected(&context, other), of_further(&context, other), behind_space(other), no_ids(other), mistake(other)];
    let mut findings: Vec<Finding> = context.others.iter().flat_map(of_other).flatten().collect();
    findings.extend(switchers(&context));
    findings.extend(unexplained(&context));
    findings.extend(no_display(&context));
    findings.extend(no_display_driver(&context));
    findings.extend(lost_to_others(&context));
    findings.extend(to_host(host, setup).iter().filter_map(|other| given_to_host(&context, other)));
    findings.extend(removing(host, setup).iter().filter_map(|rule| removed(&context, rule)));
    if !wanted.functions.is_empty() || !context.ours.is_empty() {
        findings.extend(command_lines::blacklists(host, setup));
        findings.extend(command_lines::not_read(host, setup));
        findings.extend(modules::without_effect(setup));
        findings.extend(modules::without_ending(setup));
        findings.extend(command_lines::misspelt(host, setup));
    }
    findings
}

/// What the host loses to ids set by other tools once vfio-pci is loaded before other drivers, as vgapt does; until
/// then a host driver may have bound the device first.
fn lost_to_others(context: &BindingContext<'_>) -> Vec<Finding> {
    const LOSSES: [DangerKind; 5] =
        [DangerKind::OnlyDisplay, DangerKind::OnlyPicture, DangerKind::DiskInUse, DangerKind::DefaultRoute, DangerKind::LastKeyboard];
    let BindingContext { host, setup, wanted, ours, others } = context;
    if wanted.bind != Bind::Boot || (wanted.functions.is_empty() && ours.is_empty()) {
        return Vec::new();
    }
    let is_new = |address: &PciAddress| {
        let stays = !wanted.functions.contains(address) && !ours.contains(address);
        stays && host.device(*address).is_some_and(|device| !device.on_vfio())
    };
    let by: Vec<&ExternalBinding> = others.iter().filter(|other| other.has_effect() && other.takes.iter().any(is_new)).collect();
    let Some(first) = by.first() else { return Vec::new() };
    let takes = union(by.iter().map(|other| other.takes.iter().copied().filter(is_new).collect()));
    let places = by.iter().map(|other| other.place.as_str()).collect::<Vec<_>>().join(" and ");
    let bound = described(host, &takes);
    let alone = dangers(host, &setup.uses, &wanted.functions);
    let is_display = |danger: &Danger| danger.kind.code() == DangerKind::OnlyDisplay.code();
    let is_known = |danger: &Danger| {
        let is_same = |known: &Danger| known.kind.code() == danger.kind.code() && (is_display(danger) || known.message == danger.message);
        alone.iter().any(is_same)
    };
    let mut findings = Vec::new();
    for danger in dangers(host, &setup.uses, &union([wanted.functions.clone(), takes])) {
        let Handling::Unless(allow) = Handling::of(danger.kind) else { continue };
        if LOSSES.contains(&danger.kind) && !is_known(&danger) && !wanted.allowed.contains(&allow) {
            let message = format!("{}: {places} binds {bound} once vfio-pci is loaded before other drivers", danger.message);
            let finding = Finding::blocked("also-bound", message, first.remedy("to leave it to the host:"));
            findings.push(finding.unless(Allow::HINT, allow.option()));
        }
    }
    findings
}

/// Whether one of these is bound to vfio-pci now.
fn are_held(host: &Host, functions: &[PciAddress]) -> bool {
    host.devices(functions).any(PciDevice::on_vfio)
}

/// It binds functions that are selected for a guest.
fn of_selected(context: &BindingContext<'_>, other: &ExternalBinding) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, .. } = context;
    let meant: Vec<PciAddress> = other.takes.iter().copied().filter(|address| wanted.functions.contains(address)).collect();
    if meant.is_empty() {
        return None;
    }
    if let Some(lapse) = other.lapse.as_ref().filter(|_| wanted.bind == Bind::Boot) {
        return lapsed(context, other, lapse, &meant);
    }
    if !other.has_effect() {
        return None;
    }
    let binds = format!("{} binds {}", other.cited(), PciAddress::list(&meant));
    if other.is_to_stub() && wanted.bind == Bind::Boot {
        let is_first = setup.is_built_in("pci_stub") || host.devices(&meant).any(|device| device.driver.as_deref() == Some("pci-stub"));
        return Some(if is_first {
            let message = format!("{binds} to pci-stub before vfio-pci is loaded");
            Finding::blocked("bound-by-other", message, other.remedy("first"))
        } else {
            let message = format!("{binds} to pci-stub at a boot where pci-stub is loaded before vfio-pci: no guest gets it then");
            Finding::warning("bound-by-other", message, other.remedy("if nothing else needs pci-stub:"))
        });
    }
    if wanted.bind == Bind::Start {
        let message = format!("{binds} at boot, so it is not left with the host until the domain starts");
        return Some(Finding::blocked("bound-by-other", message, other.remedy("bind the card at boot, without --bind start; or")));
    }
    if meant.iter().all(|address| ours.contains(address)) {
        return None;
    }
    if !are_held(host, &meant) {
        return Some(Finding::warning(
            "bound-by-other",
            format!("{binds} at boot too, which vgapt does not manage: it still does after vgapt undo"),
            other.remedy("if vgapt undo is to give the card back to the host:"),
        ));
    }
    let file = loaders::NEW_KERNELS;
    let (keep, fades) = if other.fades {
        let fades = format!("; {file}, from which the entry of the next kernel is generated, lacks it");
        (format!("to keep it, add {} to {file} too", other.words), fades)
    } else {
        ("nothing, if it is intended".to_owned(), String::new())
    };
    let regenerate = other.regenerate().map(|regenerate| format!(", {regenerate}")).unwrap_or_default();
    let in_entries = other.place.contains("/loader/entries/");
    let removal = other.command.clone().filter(|_| in_entries).unwrap_or_else(|| format!("remove it{regenerate}"));
    Some(Finding::warning(
        "bound-by-other",
        format!("{binds}, which vgapt does not manage: vgapt undo does not revert it{fades}"),
        format!("{keep}; to have vgapt manage it, {removal}, then: vgapt prepare"),
    ))
}

/// It names functions that are selected for a guest, and does not bind them at the next boot.
fn lapsed(context: &BindingContext<'_>, other: &ExternalBinding, lapse: &Lapse, meant: &[PciAddress]) -> Option<Finding> {
    if meant.iter().all(|address| context.ours.contains(address)) {
        return None;
    }
    let names = format!("{} names {}", other.cited(), PciAddress::list(meant));
    let (message, more) = match lapse {
        Lapse::Late => {
            (format!("{names}, but nothing loads vfio-pci before the host's drivers, so these get them at the next boot"), String::new())
        }
        Lapse::Raced { because, driver } => {
            let is_lost =
                context.host.devices(meant).any(|device| device.driver.as_deref().is_some_and(|now| now.replace('-', "_") == *driver));
            let is_lost = if is_lost { ", and it was in this boot" } else { "" };
            (format!("{names}, but {driver} may be first at the next boot: {because}{is_lost}"), String::new())
        }
        Lapse::Lost { because, source, .. } => {
            let keep = source.map(|source| format!("; to keep the parameter, add it to {source}")).unwrap_or_default();
            (format!("{names} at this boot only: {because}"), keep)
        }
        Lapse::Idle(because) => (format!("{names}, but binds nothing: {because}"), format!("; remove {}", other.removed())),
    };
    let remedy = format!("nothing: vgapt prepare sets up a binding of its own{more}");
    let code = if matches!(lapse, Lapse::Raced { .. }) { "raced" } else { "lapses" };
    Some(Finding::warning(code, message, remedy))
}

/// It binds functions that are not selected for a guest.
fn of_further(context: &BindingContext<'_>, other: &ExternalBinding) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, .. } = context;
    let is_meant = |address: &PciAddress| {
        let is_ours = wanted.functions.contains(address) || ours.contains(address);
        is_ours || setup.in_domains.have(*address) || shares_card(host, wanted, *address)
    };
    let further: Vec<PciAddress> = other.takes.iter().copied().filter(|address| !is_meant(address)).collect();
    if further.is_empty() || !other.has_effect() {
        return None;
    }
    let mut usb = host.pci.iter().filter(|device| device.class.code() == USB);
    let takes_usb = usb.clone().any(|device| further.contains(&device.address));
    let blind = are_held(host, &further) && takes_usb && usb.all(PciDevice::on_vfio);
    let more = if blind { "; the host then has no USB controller, and so no USB keyboard" } else { "" };
    let unread = setup.in_domains.0.unknown().map(|because| format!(" (it is unknown whether a domain uses it: {because})"));
    let (unread, described) = (unread.unwrap_or_default(), described(host, &further));
    let to = if other.is_to_stub() { " to pci-stub" } else { "" };
    Some(Finding::warning(
        "also-bound",
        format!("{} also binds {described}{to}, which is not selected for a guest here{unread}{more}", other.place),
        other.remedy("if no guest is to have it:"),
    ))
}

/// The daemons that decide which driver has the second card of a laptop with two.
fn switchers(context: &BindingContext<'_>) -> Vec<Finding> {
    let BindingContext { host, wanted, .. } = context;
    let is_display = host.devices(&wanted.functions).any(|device| device.class.is_display());
    if is_display { [supergfxd(context), system76(context)].into_iter().flatten().collect() } else { Vec::new() }
}

/// At each boot and each switch it loads and unloads drivers as its mode says, and writes modprobe's configuration for it (its
/// README).
fn supergfxd(context: &BindingContext<'_>) -> Option<Finding> {
    const CONFIGURATION: &str = "/etc/supergfxd.conf";
    let text = context.setup.files.text_lossy(CONFIGURATION)?;
    let mode = text.split_once("\"mode\"")?.1.split('"').nth(1)?;
    Some(Finding::warning(
        "switched-by-other",
        format!("supergfxd (mode {mode} in {CONFIGURATION}) decides at each boot and each switch which driver has a laptop's second card"),
        "let only one of them decide: systemctl disable --now supergfxd, remove /etc/modprobe.d/supergfxd.conf, and run vgapt prepare; or leave it to supergfxd (supergfxctl -m Vfio), with --bind start",
    ))
}

/// At its start, where neither nouveau nor nvidia is loaded and NVIDIA's card cannot switch itself off, it unbinds the functions of
/// that card, whoever has them, and removes them from the bus (`auto_power` and `set_power` of its graphics.rs); its mode integrated keeps both
/// drivers out.
fn system76(context: &BindingContext<'_>) -> Option<Finding> {
    const NVIDIA: u16 = 0x10de;
    const CONFIGURATION: &str = "/etc/modprobe.d/system76-power.conf";
    let BindingContext { host, setup, wanted, .. } = context;
    let is_meant = host.devices(&wanted.functions).any(|device| device.id.vendor == NVIDIA && device.class.is_display());
    let text = setup.files.text_lossy(CONFIGURATION).filter(|_| is_meant && setup.has("system76-power"))?;
    let is_integrated = ["nouveau", "nvidia"].iter().all(|driver| text.lines().any(|line| line.trim() == format!("alias {driver} off")));
    is_integrated.then(|| {
        Finding::warning(
            "switched-by-other",
            format!("system76-power is in its mode integrated ({CONFIGURATION}): at its start it takes NVIDIA's card from its driver, also from vfio-pci, and removes it from the PCI bus, unless the card can switch itself off"),
            "let only one of them decide: systemctl disable --now com.system76.PowerDaemon (the power profiles are gone, too), and run vgapt prepare; or system76-power graphics hybrid, reboot, and: vgapt prepare --bind start",
        )
    })
}

fn behind_space(other: &ExternalBinding) -> Option<Finding> {
    (!other.behind_space.is_empty()).then(|| {
        let message =
            format!("{}: the value of ids= ends at the space, so {} is not bound by it", other.cited(), other.behind_space.join(" "));
        let remedy = format!("remove the spaces between the ids in {}, or remove the line and bind the card: vgapt prepare", other.place);
        Finding::warning("not-read", message, remedy)
    })
}

fn no_ids(other: &ExternalBinding) -> Option<Finding> {
    (!other.no_ids.is_empty()).then(|| {
        let message = format!("{} contains what is not a device id: {}", other.place, other.no_ids.join(", "));
        let remedy = "an id is vendor:device, such as 10de:1401, and is shown by: vgapt list; to bind by address: vgapt prepare";
        Finding::warning("no-ids", message, remedy)
    })
}

/// It binds nothing, or what it binds is not known.
fn mistake(other: &ExternalBinding) -> Option<Finding> {
    let cited = other.cited();
    if other.takes_no_options {
        let message = format!("{cited} gives options to a module, but systemd reads the whole line as the module's name: it loads nothing");
        let remedy = "write the options into a file of /etc/modprobe.d, or bind the device: vgapt prepare; then remove that line";
        return Some(Finding::warning("no-ids", message, remedy));
    }
    if let Some(program) = &other.missing_program {
        let message = format!("{cited} runs {program}, which does not exist: the module is not loaded then, and binds nothing");
        return Some(Finding::warning("bound-by-other", message, other.remedy("if it is not to come back:")));
    }
    if other.takes.is_empty() && other.place.starts_with("/etc/driverctl.d/") {
        let message = format!("{cited} is for an address at which there is no device now; it binds whatever is there after a change");
        return Some(Finding::warning("bound-by-other", message, other.remedy("if nothing is to be there for a guest:")));
    }
    if other.is_certain && other.takes.is_empty() && other.no_ids.is_empty() {
        let lacks = if other.by_ids { "no device here has the ids in" } else { "no device of this host is meant by" };
        let remedy = other.remedy("nothing, if such a device is to come; else");
        return Some(Finding::warning("bound-by-other", format!("{lacks} {cited}"), remedy));
    }
    other.is_unknown().then(|| {
        let message = format!(
            "{cited} binds devices or loads vfio-pci in a way that vgapt does not understand; it is unknown which devices it binds"
        );
        Finding::warning("bound-by-other", message, other.remedy("check what it does; if it is not needed:"))
    })
}

/// Another function of a selected card is reported with the card.
fn shares_card(host: &Host, wanted: &Wanted, address: PciAddress) -> bool {
    Card::with(host, address).is_some_and(|card| wanted.functions.contains(&card.address))
}

/// Devices that are bound to vfio-pci by nothing that was found; selected cards are reported separately.
fn unexplained(context: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, others } = context;
    let taken = taken_by_ids(host, setup);
    let is_known = |address: &PciAddress| {
        wanted.functions.contains(address)
            || ours.contains(address)
            || taken.contains(address)
            || setup.in_domains.have(*address)
            || others.iter().any(|other| other.takes.contains(address))
            || shares_card(host, wanted, *address)
    };
    // If the domains cannot be read, libvirt may have bound it for a running one.
    if setup.in_domains.0.unknown().is_some() || others.iter().any(ExternalBinding::is_unknown) {
        return None;
    }
    let on: Vec<PciAddress> =
        host.pci.iter().filter(|device| device.on_vfio()).map(|device| device.address).filter(|address| !is_known(address)).collect();
    (!on.is_empty()).then(|| {
        Finding::warning(
            "also-bound",
            format!("{} is bound to vfio-pci and is not selected for a guest here; vgapt did not find what binds it", described(host, &on)),
            "no action needed if a guest uses it; otherwise find what binds it: grep -rl vfio /etc /usr/local",
        )
    })
}

/// It gives a function that vgapt binds at boot to a driver of the host: what is written to `driver_override` wins over ids.
fn given_to_host(context: &BindingContext<'_>, other: &ExternalBinding) -> Option<Finding> {
    let BindingContext { wanted, ours, .. } = context;
    let is_bound = |address: &PciAddress| match (wanted.functions.contains(address), wanted.bind) {
        (true, bind) => bind == Bind::Boot,
        (false, _) => ours.contains(address),
    };
    let meant: Vec<PciAddress> = other.takes.iter().copied().filter(is_bound).collect();
    let driver = other.driver.as_ref().filter(|_| !meant.is_empty())?;
    let message = format!("{} gives {} to {driver} at each boot, not to vfio-pci", other.cited(), PciAddress::list(&meant));
    Some(Finding::blocked("bound-by-other", message, other.remedy("first")))
}

/// A function that is removed from the bus at each boot cannot be passed through.
fn removed(context: &BindingContext<'_>, rule: &ExternalBinding) -> Option<Finding> {
    let meant: Vec<PciAddress> = rule.takes.iter().copied().filter(|address| context.wanted.functions.contains(address)).collect();
    (!meant.is_empty()).then(|| {
        Finding::blocked(
            "removed-by-other",
            format!("{} removes {} from the PCI bus at each boot, so it cannot be passed through", rule.cited(), PciAddress::list(&meant)),
            rule.remedy("first"),
        )
    })
}

fn described(host: &Host, functions: &[PciAddress]) -> String {
    let one = |address: &PciAddress| {
        host.device(*address).map_or_else(|| address.short(), |device| format!("{} {}", address.short(), device.class.noun()))
    };
    functions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The host has a display only if a host driver is bound to one. What vgapt itself binds was allowed, and what a
/// running domain uses returns to the host.
fn no_display(context: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, others } = context;
    let displays = displays_on_vfio(host);
    let by = others.iter().find(|other| displays.iter().any(|display| other.takes.contains(display)));
    let by_us = displays.iter().any(|display| ours.contains(display) || setup.in_domains.have(*display));
    let is_allowed = wanted.allowed.contains(&Allow::OnlyDisplay);
    if displays.is_empty() || is_allowed || (by.is_none() && (by_us || setup.in_domains.0.unknown().is_some())) {
        return None;
    }
    let place = by.map_or_else(|| "a configuration that vgapt did not find".to_owned(), |other| other.place.clone());
    // The host driver must be able to load again, too.
    let lines = display_drivers_kept_out(host, setup, &displays);
    let and_out = if lines.is_empty() { String::new() } else { format!(" {}, and", ModuleBlocker::removal(&lines)) };
    let says: String = lines.iter().map(|line| format!("; {}", line.says())).collect();
    let remedy = by.map_or_else(
        || "find what binds it: grep -rl vfio /etc /usr/local".to_owned(),
        |other| other.remedy(&format!("to give the host its display back:{and_out}")),
    );
    let message = format!("the host has no display: {} is bound to vfio-pci by {place}{says}", PciAddress::list(&displays));
    Some(Finding::blocked("no-display", message, remedy).unless(KEEP_SO, Allow::OnlyDisplay.option()))
}

/// Blocked if no display of the host has a driver and a line prevents one from loading.
fn no_display_driver(context: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, .. } = context;
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| has_outlets(device)).collect();
    let without: Vec<PciAddress> = displays.iter().filter(|device| device.driver.is_none()).map(|device| device.address).collect();
    let are_all = displays.iter().all(|device| device.driver.is_none() || device.on_vfio());
    // If no device at all has a driver, the drivers could not be read.
    if !are_all || host.pci.iter().all(|device| device.driver.is_none()) || wanted.allowed.contains(&Allow::OnlyDisplay) {
        return None;
    }
    let lines = display_drivers_kept_out(host, setup, &without);
    let first = lines.first()?;
    let says = lines.iter().map(ModuleBlocker::says).collect::<Vec<_>>().join(", ");
    let message = format!("no display of the host has a driver: {} has none, and {says}", PciAddress::list(&without));
    let regenerate = if lines.iter().any(|line| line.place != first.place) || first.place.contains("modprobe.d") {
        "regenerate the initramfs and the boot entries"
    } else {
        "regenerate the boot entries"
    };
    let remedy = format!("to give the host its display back: {}, {regenerate}, and reboot", ModuleBlocker::removal(&lines));
    Some(Finding::blocked("display-kept-out", message, remedy).unless(KEEP_SO, Allow::OnlyDisplay.option()))
}
