//! Waits until a guest is up, by what is visible from outside the guest.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::domain_xml::{agent_channel, interfaces};
use crate::hypervisor::{Hypervisor, State};
use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;
use crate::xml::Document;

const INTERVAL: Duration = Duration::from_secs(1);

/// The result of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WaitResult {
    /// The guest is up; how that was detected.
    Seen(String),
    /// It is running, and there is no way to detect more.
    Undetectable,
    /// The time limit was exceeded.
    TimedOut,
}

/// A guest whose domain is running.
pub(super) struct Guest<'a> {
    connection: &'a dyn Hypervisor,
    name: &'a str,
    has_agent: bool,
    /// Whether an address would show that the guest is up: libvirt keeps the lease of the last run.
    has_new_lease: bool,
}

impl<'a> Guest<'a> {
    /// Must be called right after the start, before the guest can have an address.
    pub(super) fn new(connection: &'a dyn Hypervisor, name: &'a str, domain: &Document) -> Result<Self> {
        let has_new_lease = is_on_network(domain) && connection.leases(name)?.is_some_and(|known| known.is_empty());
        Ok(Self { connection, name, has_agent: has_agent(domain), has_new_lease })
    }

    /// A guest that was started some time ago: an address that it has may be of its last run.
    pub(super) fn of_running(connection: &'a dyn Hypervisor, name: &'a str, domain: &Document) -> Self {
        Self { connection, name, has_agent: has_agent(domain), has_new_lease: false }
    }

    /// Waits until the guest is up, or for this time.
    ///
    /// # Errors
    /// Where the domain ends, or the wait is interrupted.
    pub(super) fn wait(&self, limit: Option<Duration>, interrupt: &Interrupt) -> Result<WaitResult> {
        let end = limit.map(|limit| Instant::now() + limit);
        loop {
            self.still_runs()?;
            if let Some(up) = self.look()? {
                return Ok(up);
            }
            let left = end.map_or(INTERVAL, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(WaitResult::TimedOut);
            }
            interrupt.pause(left.min(INTERVAL));
            if interrupt.came() {
                return Err(Interrupted(format!("'{}' keeps running", self.name)).into());
            }
        }
    }

    fn look(&self) -> Result<Option<WaitResult>> {
        if !self.has_agent && !self.has_new_lease {
            return Ok(Some(WaitResult::Undetectable));
        }
        if self.has_agent && self.connection.guest_time(self.name)?.is_some() {
            return Ok(Some(WaitResult::Seen("its agent answers".to_owned())));
        }
        let leases = if self.has_new_lease { self.connection.leases(self.name)? } else { None };
        Ok(leases.into_iter().flatten().next().map(|address| WaitResult::Seen(format!("it has the address {address}"))))
    }

    fn still_runs(&self) -> Result<()> {
        let state = self.connection.state(self.name)?;
        if matches!(state, State::ShutOff | State::Crashed) {
            let message = format!("'{}' has ended: it is {state}", self.name);
            return Err(Problem::new(
                message,
                format!(
                    "see the end of QEMU's log: /var/log/libvirt/qemu/{0}.log, or ~/.cache/libvirt/qemu/log/{0}.log with qemu:///session",
                    self.name
                ),
            )
            .into());
        }
        Ok(())
    }
}

fn has_agent(domain: &Document) -> bool {
    agent_channel(domain.root()).is_some()
}

/// Whether the guest gets its address from a libvirt network; of other networks libvirt knows no addresses.
fn is_on_network(domain: &Document) -> bool {
    interfaces(domain.root()).any(|interface| interface.kind == "network")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_tell() {
        let domain = |devices: &str| Document::parse(&format!("<domain><devices>{devices}</devices></domain>")).unwrap();
        let agent = domain("<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
        let spice = domain("<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel><interface type='user'/>");
        let network = domain("<interface type='user'/><interface type='network'><source network='default'/></interface>");
        assert_eq!([has_agent(&agent), has_agent(&spice), has_agent(&network)], [true, false, false]);
        assert_eq!([is_on_network(&agent), is_on_network(&spice), is_on_network(&network)], [false, false, true]);
    }
}
