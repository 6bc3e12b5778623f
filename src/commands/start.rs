//! `vgapt start`.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::domain::Existing;
use crate::cli::FOUND_AGAINST;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::model::{Finding, Holder, Host, PciAddress, Severity};
use crate::output;
use crate::root::Root;

/// Every device must still be what it was when it was passed, its group free, and no process may
/// have its nodes open: taking a device from a process that holds it hangs the kernel.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Stop before the guest's first instruction
    #[arg(long)]
    paused: bool,
    /// Start it although something speaks against it
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let existing = Existing::open(connection.as_ref(), &self.name)?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices, Some(connection.as_ref()))?;
        let passed = existing.passed();
        let mut findings = domain::of_functions(&passed, &host);
        findings.extend(domain::of_start(&existing.document, &host));
        let functions: Vec<PciAddress> = passed.iter().map(|passed| passed.address).collect();
        findings.extend(root.as_ref().and_then(|root| held(root, &host, &functions)));
        context.tell(&findings);
        if findings.iter().any(|finding| finding.severity == Severity::Fatal || (finding.severity == Severity::Blocker && !self.force)) {
            output::tell(&format!("'{}' is not started: see above. Nothing was touched.\n", self.name));
            return Ok(ExitCode::from(FOUND_AGAINST));
        }
        connection.start(&self.name, self.paused)?;
        context.note(&format!(
            "'{}' {}",
            self.name,
            if self.paused { "is started and paused; go on with: virsh resume" } else { "is started" }
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Who holds the functions that libvirt would have to take from a driver of the host.
pub(super) fn held(root: &Root, host: &Host, functions: &[PciAddress]) -> Option<Finding> {
    let bound: Vec<PciAddress> =
        host.devices(functions).filter(|device| device.driver.is_some() && !device.on_vfio()).map(|device| device.address).collect();
    let holders = discovery::holders(root, &bound);
    let named: Vec<String> =
        holders.iter().map(|Holder { pid, name, nodes }| format!("{name} (pid {pid}: {})", nodes.join(", "))).collect();
    (!named.is_empty()).then(|| {
        let pids: Vec<String> = holders.iter().map(|holder| holder.pid.to_string()).collect();
        Finding::fatal(
            "device-held",
            format!("processes have the devices open: {}", named.join("; ")),
            format!("end them first (kill {}), or bind the card to vfio-pci at boot", pids.join(" ")),
        )
    })
}
