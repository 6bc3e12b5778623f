//! What the commands ask of libvirt. The one answer is in `src/libvirt`, a program of its own, so
//! that nothing here links libvirt.

use anyhow::Result;
use serde::Serialize;

use crate::model::{Libvirt, Uri};

/// Opens a connection.
pub type Open = fn(&Uri) -> Result<Box<dyn Hypervisor>>;

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// It is there and its processors stand still.
    Paused,
    /// It is on its way down.
    ShuttingDown,
    /// It is off.
    ShutOff,
    /// Its guest has crashed.
    Crashed,
}

impl State {
    /// Whether a process is behind it.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::ShutOff)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::ShuttingDown => "shutting down",
            Self::ShutOff => "shut off",
            Self::Crashed => "crashed",
        })
    }
}

/// Whether passwords are in an XML. Defining one without them deletes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// To define it again.
    Kept,
    /// To show it.
    LeftOut,
}

/// A domain as the hypervisor knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Its XML as it starts next; where it runs, also as it runs.
    pub xml: Vec<String>,
}

/// The domains, and those that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domains {
    /// The domains that were read.
    pub known: Vec<Known>,
    /// Those that are there and could not be read: nothing is known of what they use.
    pub unread: Vec<Unread>,
}

/// The storage pools, and those that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pools {
    /// The pools, with what is known of each.
    pub known: Vec<Pool>,
    /// Those of which not all is known: they could not be read, refreshed or listed.
    pub unread: Vec<Unread>,
}

/// Something that is there and could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its name.
    pub name: String,
    /// Why it could not be read.
    pub because: String,
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The folder in which its volumes lie, where it has one.
    pub target: Option<String>,
    /// Its volumes, as far as it could be listed.
    pub volumes: Vec<Volume>,
}

/// A volume of a storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// Where it lies.
    pub path: String,
}

/// What libvirt keeps of a domain beside its XML and firmware variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// Whether the memory of its guest is saved, to go on with at the next start.
    pub is_saved: bool,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its XML, which names the overlays that it began.
    pub xml: String,
}

/// A connection to a hypervisor.
pub trait Hypervisor {
    /// The driver's name: `QEMU`, `TEST`, …
    fn driver(&self) -> Result<String>;
    /// The XML of all PCI and USB node devices.
    fn node_devices(&self) -> Result<Vec<String>>;
    /// Its version, and what its QEMU can.
    fn abilities(&self) -> Libvirt;
    /// The firmware images that it offers for a q35 machine; none where it cannot tell.
    fn loaders(&self) -> Vec<String>;
    /// The inactive XML of a domain; `None` where there is no such domain.
    fn domain_xml(&self, name: &str, secrets: Secrets) -> Result<Option<String>>;
    /// All domains; one that goes meanwhile is left out, one that cannot be read is named.
    fn domains(&self) -> Result<Domains>;
    /// The virtual networks, each with whether it is active; `None` where it cannot tell.
    fn networks(&self) -> Option<Vec<(String, bool)>>;
    /// All storage pools, active or not, with their volumes; none where the driver has no pools.
    fn pools(&self) -> Result<Pools>;
    /// The command line that it would run for this XML.
    fn native(&self, xml: &str) -> Result<String>;
    /// Defines a domain.
    fn define(&self, xml: &str) -> Result<Defined>;
    /// Defines a domain although the schema refuses it; what libvirt does not know is lost.
    fn define_unchecked(&self, xml: &str) -> Result<()>;
    /// What a domain is doing.
    fn state(&self, name: &str) -> Result<State>;
    /// Starts a domain; paused: before its first instruction.
    fn start(&self, name: &str, paused: bool) -> Result<()>;
    /// Whether the domain starts with the host.
    fn autostart(&self, name: &str) -> Result<bool>;
    /// Lets the domain start with the host, or no more.
    fn set_autostart(&self, name: &str, wanted: bool) -> Result<()>;
    /// Whether the agent in the guest answers.
    fn agent_answers(&self, name: &str) -> bool;
    /// The addresses that libvirt's networks have given out to the running domain; after a restart
    /// those of its last run, until it asks anew.
    fn leases(&self, name: &str) -> Option<Vec<String>>;
    /// Asks the guest to shut down.
    fn shut_down(&self, name: &str) -> Result<()>;
    /// Pulls the plug.
    fn destroy(&self, name: &str) -> Result<()>;
    /// What of a domain goes with it when it is forgotten, beside its XML and firmware variables.
    fn beside(&self, name: &str) -> Result<Beside>;
    /// Forgets a domain, its firmware variables, managed save and snapshot metadata included.
    fn undefine(&self, name: &str) -> Result<()>;
    /// What libvirt's parser would drop of this XML, by name; `None` where it refuses the whole.
    fn dropped(&self, xml: &str) -> Option<Vec<String>>;
}

/// How a definition went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defined {
    /// It is defined.
    Yes,
    /// libvirt's schema refuses it, with these words.
    SchemaRefuses(String),
}
