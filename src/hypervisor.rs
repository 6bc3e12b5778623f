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

/// A volume of a storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The pool's name.
    pub pool: String,
    /// The volume's name.
    pub name: String,
    /// Where it lies.
    pub path: String,
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
    /// All domains.
    fn domains(&self) -> Result<Vec<Known>>;
    /// The volumes of the storage pools that are active; none where it has no pools.
    fn volumes(&self) -> Vec<Volume>;
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
    fn leases(&self, name: &str) -> Vec<String>;
    /// Asks the guest to shut down.
    fn shut_down(&self, name: &str) -> Result<()>;
    /// Pulls the plug.
    fn destroy(&self, name: &str) -> Result<()>;
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
