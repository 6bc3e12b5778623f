//! `vgapt status`.

use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::domains::{Domains, Short};
use super::shared::existing::{Existing, running_xml};
use super::shared::{next, refused};
use crate::discovery::{self, Scope};
use crate::domain::Summary;
use crate::domain_xml::{self, agent_channel, disks, pins};
use crate::hypervisor::{GuestAddress, Hypervisor, State, Unread};
use crate::interrupt::Interrupt;
use crate::life;
use crate::model::{CpuSet, Finding, Host, Next, PciAddress, PciDevice, Size};
use crate::output::{self, Answer, Form, Outcome};
use crate::passthrough;
use crate::root::Root;
use crate::xml::{Document, Element};

/// Show a domain's state, memory, processors, disks, addresses and devices; without a name, all domains
///
/// Works also for domains that vgapt did not define. What cannot be read is reported as unknown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt status win11
  vgapt status win11 --watch")]
pub struct Arguments {
    /// The domain's name [default: all domains, one line each]
    name: Option<String>,
    /// Check again each second until Ctrl-C; if the output is not a terminal, print one line for each change
    #[arg(long, requires = "name")]
    watch: bool,
}

const INTERVAL: Duration = Duration::from_secs(1);
/// Where libvirt writes the process id of a domain's QEMU when it starts it.
const PID_FILES: &str = "/run/libvirt/qemu";

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let root = context.root()?;
        let Some(name) = &self.name else { return all(context, connection, root.as_ref()) };
        if self.watch {
            let answer = watch(context, connection, root.as_ref(), name).unwrap_or_else(|error| refused::answer(context, error));
            if context.global.json && answer.outcome != Outcome::Interrupted {
                output::print(&line(&answer))?;
            }
            return Ok(Answer { is_printed: true, ..answer });
        }
        let seen = look(context, connection, root.as_ref(), name)?;
        context.print(&format!("{}{}", seen.text(), output::next(&seen.next)))?;
        context.tell(&seen.findings);
        Ok(seen.answer())
    }
}

/// All domains, one line each.
fn all(context: &Context, connection: &dyn Hypervisor, root: Option<&Root>) -> Result<Answer> {
    let host = context.host(root, Scope::All)?;
    let cards = passthrough::assess(&host);
    let summary = Domains::read(connection, &host, &cards)?;
    let next = match summary.next(context, root, &host)? {
        Some(next) => next,
        None => next::on_host(context, root, &host, &cards)?.1,
    };
    context.print(&format!("{}{}", summary.text(&cards), output::next(&next)))?;
    Ok(Answer::done(StatusOfAll { domains: summary.domains, unread: summary.unread }).next(next))
}

fn watch(context: &Context, connection: &dyn Hypervisor, root: Option<&Root>, name: &str) -> Result<Answer> {
    let interrupt = Interrupt::watch()?;
    let redraws = std::io::stdout().is_terminal() && output::redraws() && !context.global.json;
    let mut last = String::new();
    while !interrupt.came() {
        let seen = look(context, connection, root, name)?;
        let text = match () {
            () if redraws => output::redrawn(&seen.text_with_findings()),
            () if context.global.json => line(&seen.answer()),
            () => format!("{}\n", seen.line()),
        };
        if redraws || text != last {
            output::print(&text)?;
        }
        last = text;
        interrupt.pause(INTERVAL);
    }
    Ok(Answer::printed(Outcome::Interrupted))
}

/// A document of --watch.
fn line(answer: &Answer) -> String {
    answer.document(Some("status"), Form::OneLine)
}

fn look(context: &Context, connection: &dyn Hypervisor, root: Option<&Root>, name: &str) -> Result<Seen> {
    let existing = Existing::open(connection, name)?;
    let state = connection.state(name)?;
    let host = context.host(root, if state.is_active() { Scope::Devices } else { Scope::All })?;
    let functions = existing.functions();
    // While the domain is running, its devices are in use by it: nothing to check.
    let mut findings = if state.is_active() { Vec::new() } else { existing.against_start(name, &host, &discovery::uses(root)) };
    findings.extend(root.filter(|_| !state.is_active()).and_then(|root| life::last_end(name, root)));
    let lacks = if state.is_active() { None } else { next::before_start(context, root, &host, &existing, &mut findings)? };
    let picture = output::picture(&Summary::of(&existing.document, existing.record.as_ref(), &host));
    // Only the XML of the running domain tells whether its agent is connected.
    let active = if state.is_active() { running_xml(connection, name)? } else { None };
    let agent = agent(existing.document.root(), active.as_ref(), state);
    let domain = active.as_ref().unwrap_or(&existing.document).root();
    let (pins, pins_unknown) = match pins(domain) {
        Ok((vcpus, emulator)) => {
            let vcpus = vcpus.into_iter().map(|(vcpu, cpus)| Pin { vcpu, cpus }).collect();
            (Some(Pins { vcpus, emulator }), None)
        }
        Err(because) => (None, Some(because)),
    };
    let seen = only(&host, &functions);
    let status = StatusOfOne {
        name: name.to_owned(),
        state,
        autostart: connection.autostart(name)?,
        since: root.filter(|root| root.is_live() && state.is_active()).and_then(|root| root.changed(&format!("{PID_FILES}/{name}.pid"))),
        memory: domain_xml::memory(domain),
        cpus: domain_xml::vcpus(domain),
        pins,
        disks: disks(domain).map(|disk| SeenDisk::of(&disk)).collect(),
        addresses: if state.is_active() { connection.addresses(name, agent == Agent::Connected)? } else { Some(Vec::new()) },
        agent,
        devices: seen.pci.clone(),
    };
    let next = next::of_domain(context, name, next::stage(state), picture.as_deref(), lacks);
    Ok(Seen { status, pins_unknown, host: seen, findings, next })
}

/// Whether the agent in the guest can be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Agent {
    Connected,
    NotConnected,
    /// The domain has no channel for one.
    NoChannel,
    Unknown,
}

fn agent(inactive: Element<'_>, active: Option<&Document>, state: State) -> Agent {
    match agent_channel(active.map_or(inactive, Document::root)) {
        None => Agent::NoChannel,
        Some(Some(state)) if state == "connected" => Agent::Connected,
        Some(Some(_)) => Agent::NotConnected,
        Some(None) if !state.is_active() => Agent::NotConnected,
        Some(None) => Agent::Unknown,
    }
}

/// The host CPUs that the virtual ones and the emulator run on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Pins {
    vcpus: Vec<Pin>,
    emulator: Option<CpuSet>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Pin {
    vcpu: u32,
    cpus: CpuSet,
}

impl Pins {
    fn text(&self) -> String {
        if self.vcpus.is_empty() {
            return "not pinned".to_owned();
        }
        let all = CpuSet(self.vcpus.iter().flat_map(|pin| pin.cpus.0.iter().copied()).collect());
        let emulator = self.emulator.as_ref().map(|set| format!(", the emulator to {set}")).unwrap_or_default();
        format!("pinned to {all}{emulator}")
    }
}

/// A disk or CD of the domain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct SeenDisk {
    target: Option<String>,
    /// `disk`, `cdrom`, …
    kind: String,
    /// Where its content is; `None` if it is empty.
    source: Option<String>,
    format: Option<String>,
}

impl SeenDisk {
    fn of(disk: &domain_xml::Disk<'_>) -> Self {
        let source = disk.source.as_ref().map(|source| match source {
            domain_xml::Source::Path(path) => path.clone(),
            domain_xml::Source::Volume { pool, volume } => format!("volume {volume} of the pool {pool}"),
            domain_xml::Source::Remote { protocol, name } => format!("{protocol}:{name}"),
            domain_xml::Source::Nvme(address) => format!("NVMe {}", address.map(PciAddress::short).unwrap_or_default()),
        });
        Self { target: disk.target.clone(), kind: disk.kind.clone(), source, format: disk.format.clone() }
    }

    fn text(&self) -> String {
        let source = self.source.as_deref().unwrap_or("empty");
        let format = self.format.as_ref().filter(|_| self.source.is_some()).map(|format| format!(", {format}")).unwrap_or_default();
        format!("{} {source} ({}{format})", self.target.as_deref().unwrap_or("-"), self.kind)
    }
}

/// What `vgapt status` answers without a name.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatusOfAll {
    domains: Vec<Short>,
    unread: Vec<Unread>,
}

/// The status of a domain. What is unknown is null.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct StatusOfOne {
    name: String,
    state: State,
    autostart: bool,
    /// When it was started, in seconds since 1970.
    since: Option<u64>,
    /// In bytes.
    memory: Option<Size>,
    cpus: Option<u32>,
    pins: Option<Pins>,
    disks: Vec<SeenDisk>,
    addresses: Option<Vec<GuestAddress>>,
    agent: Agent,
    /// The PCI functions that are passed through to it.
    devices: Vec<PciDevice>,
}

/// The status of a domain.
struct Seen {
    status: StatusOfOne,
    /// Why it is unknown where its processors run.
    pins_unknown: Option<String>,
    /// The host, reduced to the domain's functions.
    host: Host,
    findings: Vec<Finding>,
    next: Next,
}

impl Seen {
    fn answer(&self) -> Answer {
        Answer::done(self.status.clone()).finding(self.findings.clone()).next(self.next.clone())
    }

    fn text(&self) -> String {
        let unknown = || "unknown".to_owned();
        let mut rows = vec![
            ("memory", self.status.memory.map_or_else(unknown, |memory| memory.to_string())),
            ("processors", format!("{}, {}", self.status.cpus.map_or_else(unknown, |cpus| cpus.to_string()), self.pinned())),
        ];
        rows.extend(self.status.disks.iter().map(|disk| ("disk", disk.text())));
        if self.status.state.is_active() {
            rows.push(("address", self.address()));
        }
        rows.push(("agent", self.agent().to_owned()));
        let rows: String = rows.iter().map(|(what, text)| format!("  {what:<11} {}\n", output::shown(text))).collect();
        format!("{}\n{rows}{}", self.head(), output::functions(&self.host))
    }

    fn pinned(&self) -> String {
        match (&self.status.pins, &self.pins_unknown) {
            (Some(pins), _) => pins.text(),
            (None, because) => format!("pinning unknown: {}", because.as_deref().unwrap_or_default()),
        }
    }

    fn address(&self) -> String {
        let Some(addresses) = &self.status.addresses else { return "unknown".to_owned() };
        let known: Vec<String> = addresses.iter().map(|one| format!("{} ({})", one.address, one.source)).collect();
        if known.is_empty() { "none is known".to_owned() } else { known.join(", ") }
    }

    fn agent(&self) -> &'static str {
        match self.status.agent {
            Agent::Connected => "connected",
            Agent::NotConnected => "not connected",
            Agent::NoChannel => "none: the domain has no channel for it",
            Agent::Unknown => "unknown",
        }
    }

    fn text_with_findings(&self) -> String {
        let findings: String = self.findings.iter().map(output::finding).collect();
        self.text() + &findings
    }

    /// All of it on one line.
    fn line(&self) -> String {
        let driver = |device: &crate::model::PciDevice| {
            let none = if self.host.unknown.iter().any(|what| what.starts_with("drivers")) { "an unknown driver" } else { "no driver" };
            format!(", {} on {}", device.address.short(), device.driver.as_deref().unwrap_or(none))
        };
        let devices: String = self.host.pci.iter().map(driver).collect();
        let findings: String = self.findings.iter().map(|finding| format!(", {}", finding.message)).collect();
        self.named() + &devices + &findings
    }

    fn named(&self) -> String {
        format!("{}: {}{}", self.status.name, self.status.state, if self.status.autostart { ", starts with the host" } else { "" })
    }

    /// Its name and state, and for how long.
    fn head(&self) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|now| now.as_secs());
        let lasting = self.status.since.zip(now.ok()).map(|(since, now)| lasting(now.saturating_sub(since)));
        match lasting {
            Some(lasting) => format!("{}, for {lasting}", self.named()),
            None if self.status.state.is_active() => format!("{}, since when is unknown", self.named()),
            None => self.named(),
        }
    }
}

/// A time in its two largest units.
fn lasting(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// The same host with only these functions.
fn only(host: &Host, functions: &[PciAddress]) -> Host {
    Host { pci: host.devices(functions).cloned().collect(), unknown: host.unknown.clone(), ..Host::default() }
}
