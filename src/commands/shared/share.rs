//! What a domain takes from the host, and how it is taken: by libvirt's hook, or by the command that starts the domain.

use anyhow::{Context as _, Result, bail};

use super::hangs::{evidence, hangs};
use super::holders::held;
use crate::discovery;
use crate::domain::HostResources;
use crate::domain_xml::Pages;
use crate::life::{self, Caller, End, PagesWanted, Share, Watch};
use crate::model::{Bound, Host, PciAddress};
use crate::passthrough::{services_of, unbinding_order};
use crate::root::Root;
use crate::target::Target;

/// Frees what a domain needs, before libvirt takes its devices.
///
/// # Errors
/// If it is not available, in one line.
pub(in crate::commands) fn before_start(
    name: &str,
    needs: &HostResources,
    host: &Host,
    caller: Caller,
    (root, target): (&Root, &Target),
) -> Result<()> {
    let share = share(name, needs, host, root)?;
    // Without its driver a function would not be taken from it, and libvirt would wait for a driver that hangs.
    if let Some(because) = host.pci_is_unknown().filter(|_| !needs.managed.is_empty()) {
        bail!("the drivers of its devices are unknown: {because}; start the domain again");
    }
    let functions: Vec<PciAddress> = needs.passed.iter().map(|passed| passed.address).collect();
    let holders = || {
        let held = held(root, host, &functions)?;
        if share.handover {
            return Some(held.message);
        }
        held.refuses(true).then(|| format!("{}; {}", held.message, held.remedy))
    };
    life::before_start(&share, caller, root, target, (&holders, Watch { hangs: &|| hangs(root), evidence: &|hang| evidence(target, hang) }))
}

/// Returns what a domain has taken.
///
/// # Errors
/// Where something cannot be returned.
pub(in crate::commands) fn ended(name: &str, end: End, root: &Root, target: &Target) -> Result<()> {
    life::ended(name, end, root, target, Watch { hangs: &|| hangs(root), evidence: &|hang| evidence(target, hang) })
}

/// Uses the name that libvirt has for it, so that the stop finds it again: the XML may have spaces around the name.
pub(in crate::commands) fn share(name: &str, needs: &HostResources, host: &Host, root: &Root) -> Result<Share> {
    let mut pages = Vec::new();
    if let Some(Pages { memory: guest, page, nodes }) = &needs.pages {
        let page = page.or(host.memory.default_hugepage).context("the size of the host's huge pages cannot be read from /proc/meminfo")?;
        let (guest, total) = (*guest, host.memory.total);
        pages.extend(nodes.iter().map(|(node, memory)| PagesWanted { memory: *memory, guest, page, node: *node, total }));
    }
    let functions: Vec<PciAddress> = needs.passed.iter().map(|passed| passed.address).collect();
    let boot_display = host.devices(&functions).any(|device| device.boot_vga == Some(true) && !device.on_vfio());
    let handover = needs.handover && host.devices(&functions).any(|device| device.class.is_display() && !device.on_vfio());
    let order = unbinding_order(host, &needs.managed);
    let services = services_of(order.iter().map(|(_, driver)| *driver));
    let functions = order.into_iter().map(|(device, driver)| {
        let address = device.address;
        Bound { address, driver: driver.to_owned(), nodes: discovery::nodes(root, address) }
    });
    Ok(Share {
        name: name.to_owned(),
        pages,
        cpus: needs.cpus.clone(),
        moves_interrupts: needs.moves_interrupts,
        functions: functions.collect(),
        managed: needs.managed.clone(),
        services,
        boot_display,
        handover,
    })
}
