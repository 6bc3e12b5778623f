//! Who has devices open that a domain is to be given.

use crate::discovery;
use crate::model::{Finding, Holder, Host, PciAddress};
use crate::root::Root;

/// Who holds the functions that libvirt would have to take from a driver of the host.
pub(in crate::commands) fn held(root: &Root, host: &Host, functions: &[PciAddress]) -> Option<Finding> {
    let bound: Vec<PciAddress> =
        host.devices(functions).filter(|device| device.driver.is_some() && !device.on_vfio()).map(|device| device.address).collect();
    let holders = discovery::holders(root, &bound);
    let named: Vec<String> =
        holders.known.iter().map(|Holder { pid, name, nodes }| format!("{name} (pid {pid}: {})", nodes.join(", "))).collect();
    if !named.is_empty() {
        let pids: Vec<String> = holders.known.iter().map(|holder| holder.pid.to_string()).collect();
        return Some(Finding::fatal(
            "device-held",
            format!("processes have the devices open: {}", named.join("; ")),
            format!("end them first (kill {}), or bind the card to vfio-pci at boot", pids.join(" ")),
        ));
    }
    // A user other than root never sees those of others: `vgapt start` warns of that.
    let because = holders.unknown.filter(|_| rustix::process::geteuid().is_root() || !root.is_live())?;
    Some(Finding::blocker(
        "holders-unknown",
        format!("whether a process has the devices open could not be told: {because}"),
        "run it as root without confinement (AppArmor, SELinux): taking a device from a process that has it open hangs the kernel",
    ))
}
