//! Waiting until a guest is up, by what can be seen of it from outside.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::domain_xml::{devices_named, interfaces};
use crate::hypervisor::{Hypervisor, State};
use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;
use crate::xml::Document;

/// The channel of QEMU's guest agent.
const AGENT: &str = "org.qemu.guest_agent.0";
const INTERVAL: Duration = Duration::from_secs(1);

/// How the waiting ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Up {
    /// The guest showed itself, in these words.
    Seen(String),
    /// It runs, and nothing would show more.
    Invisible,
    /// The time is over.
    NotInTime,
}

/// A guest that was started just now.
pub(super) struct Guest<'a> {
    connection: &'a dyn Hypervisor,
    name: &'a str,
    has_agent: bool,
    /// Whether a new address would tell: libvirt keeps the one of the last run, and gives it out again.
    has_new_lease: bool,
}

impl<'a> Guest<'a> {
    /// To be asked right after the start, before the guest can have an address of its own.
    pub(super) fn new(connection: &'a dyn Hypervisor, name: &'a str, domain: &Document) -> Result<Self> {
        let has_new_lease = is_on_network(domain) && connection.leases(name)?.is_some_and(|known| known.is_empty());
        Ok(Self { connection, name, has_agent: has_agent(domain), has_new_lease })
    }

    /// Waits; `None`: as long as it takes.
    ///
    /// # Errors
    /// Where the domain ends meanwhile, or the waiting is interrupted.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Result<Up> {
        let interrupt = Interrupt::watch()?;
        let end = limit.map(|limit| Instant::now() + limit);
        loop {
            self.still_runs()?;
            if let Some(up) = self.look()? {
                return Ok(up);
            }
            let left = end.map_or(INTERVAL, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Up::NotInTime);
            }
            interrupt.pause(left.min(INTERVAL));
            if interrupt.came() {
                return Err(Interrupted(format!("'{}' runs on", self.name)).into());
            }
        }
    }

    fn look(&self) -> Result<Option<Up>> {
        if !self.has_agent && !self.has_new_lease {
            return Ok(Some(Up::Invisible));
        }
        if self.has_agent && self.connection.agent_answers(self.name)? {
            return Ok(Some(Up::Seen("its agent answers".to_owned())));
        }
        let leases = if self.has_new_lease { self.connection.leases(self.name)? } else { None };
        Ok(leases.into_iter().flatten().next().map(|address| Up::Seen(format!("it took the address {address}"))))
    }

    fn still_runs(&self) -> Result<()> {
        let state = self.connection.state(self.name)?;
        if matches!(state, State::ShutOff | State::Crashed) {
            let message = format!("'{}' is {state} again", self.name);
            return Err(Problem::new(
                message,
                format!(
                    "see the end of QEMU's log: /var/log/libvirt/qemu/{0}.log, with qemu:///session ~/.cache/libvirt/qemu/log/{0}.log",
                    self.name
                ),
            )
            .into());
        }
        Ok(())
    }
}

fn has_agent(domain: &Document) -> bool {
    let mut channels = devices_named(domain.root(), "channel");
    channels.any(|channel| channel.child("target").and_then(|target| target.attribute("name")).as_deref() == Some(AGENT))
}

/// Whether libvirt gives out the guest's address: no other kind of network tells.
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
