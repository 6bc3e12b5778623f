//! `vgapt start`.

mod steps;
mod wait;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::exit_code::{BLOCKED, TIMED_OUT};
use super::shared::existing::Existing;
use super::shared::facts::{HostPaths, other_domains};
use super::shared::holders::held;
use crate::discovery::{self, Scope};
use crate::domain;
use crate::domain_xml;
use crate::model::{Finding, HOOK, Host, PciAddress, shell_word};
use crate::output;
use crate::root::Root;
use wait::{Guest, WaitResult};

/// Check the host again and start a domain
///
/// Checks first that every device is still the one that was assigned, that its group is not in use, and that no
/// process has its device nodes open: unbinding a device that a process has open hangs the kernel.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Pause the guest before its first instruction
    #[arg(long)]
    paused: bool,
    /// Start the domain even if it is blocked
    #[arg(long)]
    force: bool,
    /// Wait until the guest is up: its agent answers, or it has an address from a libvirt network. Where the domain has
    /// neither, return at once
    #[arg(long, conflicts_with = "paused")]
    wait: bool,
    /// Maximum time to wait; then the exit code is 4, and the domain keeps running [default: no limit]
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let existing = Existing::open(connection, &self.name)?;
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices)?;
        let passed = existing.passed();
        let taken = domain_xml::taken(&existing.document, &host);
        let needs = existing.needs(&self.name)?;
        let uses = discovery::uses(root.as_ref());
        let mut findings = domain::of_functions(&passed, &host, &uses);
        findings.retain(|finding| finding.code != "only-display" || !needs.as_ref().is_some_and(|needs| needs.handover));
        let usb: Vec<_> = taken.usb.iter().copied().collect();
        findings.extend(domain::of_keyboard(&usb, &host, &uses));
        findings.extend(domain::of_others(&taken, &other_domains(connection, &self.name)?, &host, true, &HostPaths(root.as_ref())));
        findings.extend(domain::of_start(&existing.document, &host));
        let functions: Vec<PciAddress> = passed.iter().map(|passed| passed.address).collect();
        let is_handed_over = needs.as_ref().is_some_and(|needs| needs.handover);
        if let Some(root) = &root {
            findings.extend(if functions.is_empty() { Vec::new() } else { discovery::other_hooks(root, Some(&self.name)) });
            findings.extend(if is_handed_over { handover(root) } else { held(root, &host, &functions) });
            findings.extend(others_unseen(root, &host, &functions).filter(|_| !is_handed_over));
        }
        context.tell(&findings);
        if findings.iter().any(|finding| finding.refuses(self.force)) {
            output::tell(&format!("'{}' was not started: see above. Nothing was changed.\n", self.name));
            return Ok(ExitCode::from(BLOCKED));
        }
        let is_bound = host.devices(&functions).any(|device| device.driver.is_some() && !device.on_vfio());
        let sees_all = root.as_ref().is_some_and(|root| !root.is_capture() && (!root.is_live() || rustix::process::geteuid().is_root()));
        let is_seen = host.unknown.is_empty()
            && !findings.iter().any(|finding| finding.code == "holders-unknown")
            && (!is_bound || (sees_all && !is_handed_over));
        let holders = if is_seen { steps::Holders::Seen } else { steps::Holders::NotSeen };
        let hook_is_there = root.as_ref().is_some_and(|root| root.exists(HOOK));
        let hook = steps::hook(needs.as_ref(), hook_is_there).filter(|_| root.is_some());
        for step in [steps::checks(&passed, &host, &findings, holders), steps::devices(&host, &functions), hook].into_iter().flatten() {
            step_note(context, &step);
        }
        connection.start(&self.name, self.paused)?;
        let guest = self.wait.then(|| Guest::new(connection, &self.name, &existing.document)).transpose()?;
        context.note(&format!(
            "'{}' {}",
            self.name,
            if self.paused {
                format!(
                    "is started and paused; resume it with: virsh -c {} resume {}",
                    shell_word(context.uri().as_str()),
                    shell_word(&self.name)
                )
            } else {
                "is started".to_owned()
            }
        ));
        guest.map_or(Ok(ExitCode::SUCCESS), |guest| self.wait_for(context, &guest))
    }

    fn wait_for(&self, context: &Context, guest: &Guest<'_>) -> Result<ExitCode> {
        step_note(context, "waiting for the guest");
        let name = &self.name;
        match guest.wait(self.timeout.map(Duration::from_secs))? {
            WaitResult::Seen(how) => context.note(&format!("'{name}' is up: {how}")),
            WaitResult::Undetectable => context.note(&format!(
                "'{name}' is running; whether its guest is up is unknown: the domain has no channel for the guest agent, and no new address from a libvirt network"
            )),
            WaitResult::TimedOut => {
                output::tell(&format!("'{name}' is running, but its guest is not up after {} s\n", self.timeout.unwrap_or_default()));
                return Ok(ExitCode::from(TIMED_OUT));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints progress, not with --json.
fn step_note(context: &Context, step: &str) {
    if !context.global.json {
        context.note(step);
    }
}

/// What prevents the hook from handing over the display.
fn handover(root: &Root) -> Option<Finding> {
    let no_hook = match root.presence(HOOK) {
        Some(true) => None,
        _ if root.is_capture() => None,
        Some(false) => Some(Finding::error(
            "no-hook",
            format!("libvirt's hook hands over the display, and {HOOK} does not exist"),
            "vgapt prepare installs it",
        )),
        None => Some(Finding::blocked(
            "no-hook",
            format!("libvirt's hook hands over the display, and whether {HOOK} exists is unknown"),
            "start the domain as root, which may read it",
        )),
    };
    domain::of_handover(discovery::runs_systemd(root)).or(no_hook)
}

/// Only root can see what processes of other users have open; for others it is unknown.
fn others_unseen(root: &Root, host: &Host, functions: &[PciAddress]) -> Option<Finding> {
    let is_bound = host.devices(functions).any(|device| device.driver.is_some() && !device.on_vfio());
    (root.is_live() && is_bound && !rustix::process::geteuid().is_root()).then(|| {
        Finding::warning(
            "holders-unknown",
            "whether processes of other users have the devices open is unknown",
            "run it as root: unbinding a device that a process has open hangs the kernel",
        )
    })
}
