//! Bindings to vfio-pci that vgapt does not manage: files of modprobe, kernel parameters, driverctl, udev
//! rules, scripts of the initramfs and of services.

use std::collections::BTreeSet;

mod command_lines;
mod displays;
mod modules;
mod other;
mod scripts;

pub(super) use displays::{KeepsOut, display_drivers_kept_out};
pub(super) use modules::ids;
pub use other::ExternalBinding;

use super::wanted::{Bind, Wanted};
use super::{binding, loaders, refusals};
use crate::model::{Card, Finding, Host, PciAddress, PciDevice, Setup};
use crate::passthrough::{DangerKind, dangers};

/// The class of USB controllers.
const USB: u16 = 0x0c03;

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
pub(super) fn findings(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let ours = binding::bound(setup).iter().map(|bound| bound.address).collect();
    let seen = BindingContext { host, setup, wanted, ours, others: others(host, setup) };
    let mut findings: Vec<Finding> = seen.others.iter().flat_map(|other| of_other(&seen, other)).collect();
    findings.extend(unexplained(&seen));
    findings.extend(displays::dark(&seen));
    findings.extend(displays::without_driver(&seen));
    findings.extend(lost_early(&seen));
    findings.extend(removing(host, setup).iter().filter_map(|rule| removed(&seen, rule)));
    if !wanted.functions.is_empty() || !seen.ours.is_empty() {
        findings.extend(command_lines::blacklists(host, setup));
        findings.extend(command_lines::not_read(host, setup));
        findings.extend(modules::without_effect(setup));
    }
    findings
}

/// What the host loses to ids set by other tools once vfio-pci is loaded before other drivers, as vgapt does; until
/// then a host driver may have bound the device first.
fn lost_early(seen: &BindingContext<'_>) -> Vec<Finding> {
    const LOSSES: [DangerKind; 5] =
        [DangerKind::OnlyDisplay, DangerKind::OnlyPicture, DangerKind::DiskInUse, DangerKind::DefaultRoute, DangerKind::LastKeyboard];
    let BindingContext { host, setup, wanted, ours, others } = seen;
    if wanted.bind != Bind::Boot || (wanted.functions.is_empty() && ours.is_empty()) {
        return Vec::new();
    }
    let is_new = |address: &PciAddress| {
        let stays = !wanted.functions.contains(address) && !ours.contains(address);
        stays && host.device(*address).is_some_and(|device| !device.on_vfio())
    };
    let new = |other: &ExternalBinding| -> Vec<PciAddress> { other.takes.iter().copied().filter(is_new).collect() };
    let takes = union(others.iter().map(new));
    let by: Vec<&ExternalBinding> = others.iter().filter(|other| !new(other).is_empty()).collect();
    let Some(first) = by.first() else { return Vec::new() };
    let alone = dangers(host, &setup.uses, &wanted.functions);
    let is_known = |kind: DangerKind, message: &str| {
        alone
            .iter()
            .any(|danger| danger.kind.code() == kind.code() && (kind.code() == DangerKind::OnlyDisplay.code() || danger.message == message))
    };
    let places = by.iter().map(|other| other.place.clone()).collect::<Vec<_>>().join(" and ");
    let all = dangers(host, &setup.uses, &union([wanted.functions.clone(), takes.clone()]));
    let lost = all.into_iter().filter(|danger| LOSSES.contains(&danger.kind) && !is_known(danger.kind, &danger.message));
    lost.filter_map(|danger| {
        let allow = refusals::allow(danger.kind).filter(|allow| !wanted.allowed.contains(allow))?;
        let message =
            format!("{}: {places} binds {} once vfio-pci is loaded before other drivers", danger.message, described(host, &takes));
        let finding = Finding::blocked("also-bound", message, first.remedy("to leave it to the host:"));
        Some(finding.unless(refusals::OVERRIDE_HINT, refusals::option(allow)))
    })
    .collect()
}

fn of_other(seen: &BindingContext<'_>, other: &ExternalBinding) -> Vec<Finding> {
    let BindingContext { host, setup, wanted, ours, .. } = seen;
    let mut findings = Vec::new();
    let (meant, beside): (Vec<PciAddress>, Vec<PciAddress>) = other.takes.iter().partition(|address| wanted.functions.contains(address));
    let held = |functions: &[PciAddress]| host.devices(functions).any(PciDevice::on_vfio);
    let by_stub = other.driver == Some("pci_stub")
        && (setup.is_built_in("pci_stub") || host.devices(&meant).any(|device| device.driver.as_deref() == Some("pci-stub")));
    if !meant.is_empty() && by_stub && wanted.bind == Bind::Boot {
        findings.push(Finding::blocked(
            "bound-by-other",
            format!("{} binds {} to pci-stub before vfio-pci is loaded", other.told(), PciAddress::list(&meant)),
            other.remedy("first"),
        ));
    } else if !meant.is_empty() && wanted.bind == Bind::Start {
        findings.push(Finding::blocked(
            "bound-by-other",
            format!("{} binds {} at boot, so it is not left with the host until the domain starts", other.told(), PciAddress::list(&meant)),
            other.remedy("omit it with --bind start, or"),
        ));
    } else if !meant.is_empty() && held(&meant) && !meant.iter().all(|address| ours.contains(address)) {
        let (keep, fades) = if other.fades {
            let file = loaders::NEW_KERNELS;
            (
                format!("to keep it, write {} into {file} too", other.words),
                format!("; {file}, from which the entry of the next kernel is made, does not have it"),
            )
        } else {
            ("nothing, if it is intended".to_owned(), String::new())
        };
        let regenerate = other.regenerate().map(|regenerate| format!(", {regenerate}")).unwrap_or_default();
        let in_entries = other.place.contains("/loader/entries/");
        let removal = other.command.clone().filter(|_| in_entries).unwrap_or_else(|| format!("remove it{regenerate}"));
        findings.push(Finding::warning(
            "bound-by-other",
            format!(
                "{} binds {}, which vgapt does not manage: vgapt undo does not revert it{fades}",
                other.told(),
                PciAddress::list(&meant)
            ),
            format!("{keep}; to have vgapt manage it, {removal}, and run vgapt prepare"),
        ));
    }
    let beside: Vec<PciAddress> = beside
        .into_iter()
        .filter(|address| !ours.contains(address) && !setup.in_domains.have(*address) && !shares_card(host, wanted, *address))
        .collect();
    if !beside.is_empty() {
        let usb = host.pci.iter().filter(|device| device.class.code() == USB);
        let blind = held(&beside) && usb.clone().any(|device| beside.contains(&device.address)) && usb.clone().all(PciDevice::on_vfio);
        let more = if blind { "; the host then has no USB controller, and so no USB keyboard" } else { "" };
        let unread =
            setup.in_domains.0.unknown().map(|because| format!(" (whether a domain uses it is not known: {because})")).unwrap_or_default();
        findings.push(Finding::warning(
            "also-bound",
            format!("{} also binds {}, which is not selected for a guest here{unread}{more}", other.place, described(host, &beside)),
            other.remedy("if no guest is to have it:"),
        ));
    }
    if !other.no_ids.is_empty() {
        findings.push(Finding::warning(
            "no-ids",
            format!("{} contains what is not a device id: {}", other.place, other.no_ids.join(", ")),
            "an id is vendor:device, such as 10de:1401 (vgapt list shows it); to bind by address, use vgapt prepare",
        ));
    }
    if other.takes_no_options {
        findings.push(Finding::warning(
            "no-ids",
            format!("{} gives options to a module, but systemd reads the whole line as the module's name: it loads nothing", other.told()),
            "write the options into a file of /etc/modprobe.d, or let vgapt prepare bind the device, and remove that line",
        ));
    } else if other.takes.is_empty() && other.no_ids.is_empty() {
        findings.push(Finding::warning(
            "bound-by-other",
            format!(
                "{} binds devices or loads vfio-pci in a way that vgapt does not understand; which devices it binds is not known",
                other.told()
            ),
            other.remedy("check what it does; if it is not needed:"),
        ));
    }
    findings
}

/// Another function of a selected card is reported with the card.
fn shares_card(host: &Host, wanted: &Wanted, address: PciAddress) -> bool {
    Card::with(host, address).is_some_and(|card| wanted.functions.contains(&card.address))
}

/// Devices that are bound to vfio-pci by nothing that was found; selected cards are reported separately.
fn unexplained(seen: &BindingContext<'_>) -> Option<Finding> {
    let BindingContext { host, setup, wanted, ours, others } = seen;
    let is_known = |address: &PciAddress| {
        wanted.functions.contains(address)
            || ours.contains(address)
            || setup.in_domains.have(*address)
            || others.iter().any(|other| other.takes.contains(address))
            || shares_card(host, wanted, *address)
    };
    // If the domains cannot be read, libvirt may have bound it for a running one.
    if setup.in_domains.0.unknown().is_some()
        || others.iter().any(|other| other.takes.is_empty() && other.no_ids.is_empty() && !other.takes_no_options)
    {
        return None;
    }
    let on: Vec<PciAddress> =
        host.pci.iter().filter(|device| device.on_vfio()).map(|device| device.address).filter(|address| !is_known(address)).collect();
    (!on.is_empty()).then(|| {
        Finding::warning(
            "also-bound",
            format!("{} is bound to vfio-pci, is not selected for a guest here, and nothing was found that binds it", described(host, &on)),
            "nothing, if a guest uses it; otherwise find what binds it: grep -rl vfio /etc /usr/local",
        )
    })
}

/// A function that is removed from the bus at each boot cannot be passed through.
fn removed(seen: &BindingContext<'_>, rule: &ExternalBinding) -> Option<Finding> {
    let meant: Vec<PciAddress> = rule.takes.iter().copied().filter(|address| seen.wanted.functions.contains(address)).collect();
    (!meant.is_empty()).then(|| {
        Finding::blocked(
            "removed-by-other",
            format!("{} removes {} from the PCI bus at each boot, so it cannot be passed through", rule.told(), PciAddress::list(&meant)),
            rule.remedy("first"),
        )
    })
}

/// The udev rules that remove functions from the bus.
pub fn removing(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    scripts::removing(host, setup)
}

fn described(host: &Host, functions: &[PciAddress]) -> String {
    let one = |address: &PciAddress| {
        host.device(*address).map_or_else(|| address.short(), |device| format!("{} {}", address.short(), device.class.noun()))
    };
    functions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// All bindings that vgapt does not manage.
pub fn others(host: &Host, setup: &Setup) -> Vec<ExternalBinding> {
    let mut found = modules::of_modprobe(host, setup);
    found.extend(command_lines::ids(host, setup));
    found.extend(modules::of_module_lists(host, setup));
    found.extend(modules::of_driverctl(host, setup));
    found.extend(scripts::of_scripts(host, setup));
    let mut seen = BTreeSet::new();
    found.retain(|other| seen.insert(other.place.clone()));
    found
}

fn union(parts: impl IntoIterator<Item = Vec<PciAddress>>) -> Vec<PciAddress> {
    parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, ConfigFile, ConfigFiles, PciId};

    fn host() -> Host {
        let device = |address: &str, vendor: u16, id: u16, class: u32| {
            let mut device = PciDevice::new(address.parse().unwrap());
            (device.id, device.class) = (PciId { vendor, device: id }, Class(class));
            device
        };
        let mut screen = device("00:02.0", 0x8086, 0x1912, 0x03_00_00);
        screen.boot_vga = Some(true);
        let pci = vec![
            screen,
            device("01:00.0", 0x10de, 0x1401, 0x03_00_00),
            device("01:00.1", 0x10de, 0x0fba, 0x04_03_00),
            device("03:00.0", 0x1b21, 0x2142, 0x0c_03_30),
        ];
        Host { pci, ..Host::default() }
    }

    fn found(path: &str, text: &str) -> Vec<(String, Vec<String>)> {
        let file = ConfigFile { place: path.into(), mode: 0o644, text: Ok(text.into()) };
        let setup = Setup { files: ConfigFiles([(path.to_owned(), file)].into()), ..Setup::default() };
        others(&host(), &setup)
            .into_iter()
            .map(|other| (other.place, other.takes.iter().map(|address| address.short()).collect()))
            .collect()
    }

    /// Each rule is looked at once, however many there are and whatever joins them.
    #[test]
    fn many_rules_cost_as_many_looks() {
        const RULE: &str = "KERNEL==\"0000:01:00.0\", ATTR{driver_override}=\"vfio-pci\"";
        let begun = std::time::Instant::now();
        for end in ["\n", ", \\\n"] {
            let all = found("/etc/udev/rules.d/9.rules", &format!("{RULE}{end}").repeat(20_000));
            assert!(all.len() == 20_000 && all.iter().all(|(_, takes)| *takes == ["01:00.0"]));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn every_way_in_which_people_bind() {
        let both = ["01:00.0", "01:00.1"].as_slice();
        for (path, text, line, takes) in [
            ("/run/modprobe.d/x.conf", "# x\noptions vfio_pci disable_vga=1 ids=10de:1401,10de:0fba\n", 2, both),
            (
                "/etc/modprobe.d/x.conf",
                "options vfio-pci \\\n ids=\"10de:ffffffff:ffffffff:ffffffff:00030000:ffff00ff\"\n",
                1,
                &["01:00.0"],
            ),
            ("/etc/modprobe.d/x.conf", "alias pci:v000010DEd00001401sv* vfio-pci\n", 1, &["01:00.0"]),
            ("/etc/modprobe.d/x.conf", "install vfio-pci /sbin/x\n", 1, &[]),
            ("/etc/default/grub.d/x.cfg", "\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX vfio-pci.ids=1b21:2142\"\n", 2, &["03:00.0"]),
            ("/etc/modules-load.d/x.conf", "vfio-pci ids=10de:1401\n", 1, &[]),
            ("/etc/tmpfiles.d/x.conf", "w /sys/bus/pci/devices/0000:03:00.0/driver_override - - - - vfio-pci\n", 1, &["03:00.0"]),
            (
                "/usr/share/initramfs-tools/scripts/init-top/vfio",
                "#!/bin/sh\necho vfio-pci > /sys/bus/pci/devices/0000:03:00.0/driver_override\n",
                2,
                &["03:00.0"],
            ),
            ("/etc/driverctl.d/0000:03:00.0", "vfio-pci\n", 1, &["03:00.0"]),
            ("/etc/initramfs-tools/modules", "vfio\nvfio_pci ids=1b21:2142\n", 2, &["03:00.0"]),
            (
                "/etc/udev/rules.d/9.rules",
                "ACTION==\"add\", KERNEL==\"0000:01:00.*\", SUBSYSTEM==\"pci\", \\\n ATTR{driver_override}=\"vfio-pci\"\n",
                2,
                both,
            ),
            (
                "/etc/udev/rules.d/9.rules",
                "ATTR{vendor}==\"0x1b21\", ATTR{device}==\"0x2142\", ATTR{driver_override}=\"vfio-pci\"\n",
                1,
                &["03:00.0"],
            ),
            (
                "/etc/initramfs-tools/scripts/init-top/vfio.sh",
                "#!/bin/sh\n# 03:00.0 stays\nfor d in 0000:01:00.0 0000:01:00.1; do\n echo vfio-pci > /sys/bus/pci/devices/$d/driver_override\ndone\nmodprobe -i vfio-pci\n",
                4,
                both,
            ),
            // A file that mentions vgapt was not necessarily written by it.
            (
                "/usr/local/bin/bind",
                "#!/bin/sh\n# vgapt prepare --gpu 01:00.0 does this, too\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n",
                3,
                &["01:00.0"],
            ),
            ("/usr/local/bin/bind", "#!/bin/sh\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n", 2, &["01:00.0"]),
            ("/etc/rc.local", "for i in /sys/bus/pci/devices/*/boot_vga; do\n echo vfio-pci > x/driver_override; done\n", 2, both),
        ] {
            let takes = takes.iter().map(|address| (*address).to_owned()).collect();
            assert_eq!(found(path, text), [(format!("{path}, line {line}"), takes)], "{text}");
        }
        for (path, text) in [
            ("/etc/modprobe.d/x.conf", "#options vfio-pci ids=10de:1401\noptions kvm ids=1\nsoftdep nvidia pre: vfio-pci\n"),
            ("/etc/initramfs-tools/modules", "vfio_pci\n"),
            ("/etc/initramfs-tools/scripts/init-top/vfio.sh", "#!/bin/sh\nmodprobe vfio-pci\n"),
            ("/etc/modprobe.d/x.conf", "install vfio-pci /bin/false\n"),
            (
                "/usr/local/bin/bind",
                "#!/bin/sh\n# Written by `vgapt prepare`, taken away by `vgapt undo`.\necho 10de 1401 > /sys/bus/pci/drivers/vfio-pci/new_id\n",
            ),
            ("/etc/modules", "# vfio_pci ids=10de:1401\n"),
            ("/etc/udev/rules.d/9.rules", "SUBSYSTEM==\"vfio\", OWNER=\"me\"\n"),
        ] {
            assert!(found(path, text).is_empty(), "{text}: {:?}", found(path, text));
        }
    }
}
