//! Processes that have a domain's devices open.

use crate::discovery;
use crate::model::{Finding, Holder, Host, PciAddress};
use crate::passthrough::FunctionUser;
use crate::root::Root;

/// The processes that have functions open or mapped which libvirt would have to unbind from a host driver.
pub(in crate::commands) fn held(root: &Root, host: &Host, functions: &[PciAddress]) -> Option<Finding> {
    let bound: Vec<PciAddress> =
        host.devices(functions).filter(|device| device.driver.is_some() && !device.on_vfio()).map(|device| device.address).collect();
    let holders = discovery::holders(root, &bound);
    if let Some(named) = holders.in_words() {
        let pids: Vec<String> = holders.known.iter().map(|holder| holder.pid.to_string()).collect();
        return Some(Finding::error(
            "device-held",
            format!("devices are in use by processes: {named}"),
            format!("end them first (kill {}), or bind the card to vfio-pci at boot", pids.join(" ")),
        ));
    }
    // Users other than root never see processes of others: `vgapt start` warns of that.
    let because = holders.unknown.filter(|_| rustix::process::geteuid().is_root() || !root.is_live())?;
    Some(Finding::blocked(
        "holders-unknown",
        format!("whether a process has the devices open is unknown: {because}"),
        "run vgapt as root without confinement (AppArmor, SELinux): unbinding a device that a process has open hangs the kernel",
    ))
}

/// The processes that use functions which may be hit; a warning where only root could see them.
pub(in crate::commands) fn users(root: &Root, functions: &[PciAddress]) -> (Vec<(PciAddress, FunctionUser)>, Vec<Finding>) {
    let (mut users, mut findings) = (Vec::new(), Vec::new());
    for function in functions {
        let holders = discovery::function_holders(root, &[*function]);
        let process = |Holder { pid, name, nodes }: &Holder| FunctionUser::Process(format!("{name} (pid {pid}: {})", nodes.join(", ")));
        users.extend(holders.known.iter().map(|holder| (*function, process(holder))));
        let Some(because) = holders.unknown else { continue };
        if rustix::process::geteuid().is_root() || !root.is_live() {
            users.push((*function, FunctionUser::Unknown(because)));
        } else if findings.is_empty() {
            let message = format!("who uses these functions is unknown: {because}");
            findings.push(Finding::warning("users-unknown", message, "run it as root; without --dry-run, vgapt does"));
        }
    }
    (users, findings)
}
