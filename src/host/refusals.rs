//! What speaks against taking devices from the host, and by which option it is done all the same.

use std::collections::BTreeSet;

use clap::ValueEnum as _;

use super::wanted::{Allow, Wanted};
use crate::model::{Finding, Host, PciAddress, PciDevice, Purpose, Setup};
use crate::passthrough;

/// All that speaks against it; what was allowed is left out.
pub(super) fn of(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let functions = &wanted.functions;
    let mut findings: Vec<Finding> = functions.iter().filter_map(|address| unsuitable(host, *address)).collect();
    if functions.is_empty() {
        return findings;
    }
    let weighed = [
        (Allow::OnlyDisplay, only_display(host, functions)),
        (Allow::BlockedGroup, blocked_group(host, functions)),
        (Allow::DiskInUse, disk_in_use(setup, functions)),
        (Allow::DefaultRoute, default_route(setup, functions)),
        (Allow::LastKeyboard, last_keyboard(setup, functions)),
    ];
    for (allow, finding) in weighed {
        findings.extend(finding.filter(|_| !wanted.allowed.contains(&allow)).map(|(message, remedy)| {
            let name = allow.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            Finding::blocker(code(allow), message, format!("{remedy}; to do it all the same: --allow {name}"))
        }));
    }
    findings
}

fn code(allow: Allow) -> &'static str {
    match allow {
        Allow::OnlyDisplay => "only-display",
        Allow::DiskInUse => "disk-in-use",
        Allow::DefaultRoute => "default-route",
        Allow::LastKeyboard => "last-keyboard",
        Allow::BlockedGroup => "blocked-group",
    }
}

fn unsuitable(host: &Host, address: PciAddress) -> Option<Finding> {
    match host.device(address) {
        None => Some(Finding::fatal("no-device", format!("there is no PCI function at {address}"), "vgapt list --all shows what is there")),
        Some(device) if device.is_bridge() || device.class.is_any_bridge() => Some(Finding::fatal(
            "bridge",
            format!("{} is a bridge: it stays with the host, and never keeps its group from a guest", address.short()),
            "name the devices behind it",
        )),
        Some(_) => None,
    }
}

fn short(functions: &[PciAddress]) -> String {
    functions.iter().map(|address| address.short()).collect::<Vec<_>>().join(", ")
}

fn only_display(host: &Host, functions: &[PciAddress]) -> Option<(String, String)> {
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| device.class.is_display() && !device.is_bridge()).collect();
    let goes = displays.iter().any(|device| functions.contains(&device.address) && !device.on_vfio());
    let stays = displays.iter().any(|device| !functions.contains(&device.address) && !device.on_vfio());
    (goes && !stays).then(|| {
        (
            format!("without {} the host has no display", short(functions)),
            "add a second display (integrated graphics count, if the firmware has them on), or reach the host by ssh".to_owned(),
        )
    })
}

fn blocked_group(host: &Host, functions: &[PciAddress]) -> Option<(String, String)> {
    let blockers = host.blockers_of(functions);
    let named: Vec<String> = host
        .devices(&blockers)
        .map(|device| format!("{} {} on {}", device.address.short(), device.class.noun(), device.driver.as_deref().unwrap_or("none")))
        .collect();
    (!named.is_empty()).then(|| {
        (format!("the host uses other devices of the same IOMMU group: {}", named.join(", ")), passthrough::isolation_remedy(false))
    })
}

/// What the host uses that is behind one of these functions.
fn uses<'a>(setup: &'a Setup, functions: &'a [PciAddress]) -> impl Iterator<Item = (&'a Purpose, PciAddress)> {
    setup.uses.iter().filter_map(|used| Some((&used.what, *used.path.iter().find(|address| functions.contains(address))?)))
}

fn disk_in_use(setup: &Setup, functions: &[PciAddress]) -> Option<(String, String)> {
    let named: BTreeSet<String> = uses(setup, functions)
        .filter_map(|(what, function)| match what {
            Purpose::Disk { name, place } => Some(format!("{name} ({place}) behind {}", function.short())),
            _ => None,
        })
        .collect();
    let named = named.into_iter().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| (format!("the host uses the disk {named}"), "unmount it and take it out of /etc/fstab first".to_owned()))
}

fn default_route(setup: &Setup, functions: &[PciAddress]) -> Option<(String, String)> {
    let (interface, function) = uses(setup, functions).find_map(|(what, function)| match what {
        Purpose::DefaultRoute { interface } => Some((interface, function)),
        _ => None,
    })?;
    Some((
        format!("the host's default route goes through {interface}, which is behind {}", function.short()),
        "give the host another way into the network first".to_owned(),
    ))
}

fn last_keyboard(setup: &Setup, functions: &[PciAddress]) -> Option<(String, String)> {
    let keyboards: Vec<_> = setup.uses.iter().filter(|used| matches!(used.what, Purpose::Keyboard { .. })).collect();
    let goes = |used: &&&crate::model::Use| used.path.iter().any(|address| functions.contains(address));
    let going = keyboards.iter().filter(goes).count();
    (going > 0 && going == keyboards.len())
        .then(|| (format!("the host's last keyboard is behind {}", short(functions)), "plug a keyboard into another controller".to_owned()))
}
