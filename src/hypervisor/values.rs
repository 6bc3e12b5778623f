//! What questions and answers are made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secrets {
    /// To define it again.
    Kept,
    /// To show it.
    LeftOut,
}

/// A domain as the hypervisor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Its XML as it starts next; where it runs, also as it runs.
    pub xml: Vec<String>,
}

/// The domains, and those that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Domains {
    /// The domains that were read.
    pub known: Vec<Known>,
    /// Those that are there and could not be read: nothing is known of what they use.
    pub unread: Vec<Unread>,
}

/// The storage pools, and those that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pools {
    /// The pools, with what is known of each.
    pub known: Vec<Pool>,
    /// Those of which not all is known: they could not be read, refreshed or listed.
    pub unread: Vec<Unread>,
}

/// Something that is there and could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Its name.
    pub name: String,
    /// Why it could not be read.
    pub because: String,
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The folder in which its volumes lie, where it has one.
    pub target: Option<String>,
    /// Its volumes, as far as it could be listed.
    pub volumes: Vec<Volume>,
}

/// A volume of a storage pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// Where it lies.
    pub path: String,
}

/// What libvirt keeps of a domain beside its XML and firmware variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beside {
    /// Whether the memory of its guest is saved, to go on with at the next start.
    pub is_saved: bool,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its XML, which names the overlays that it began.
    pub xml: String,
}

/// How a definition went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Defined {
    /// It is defined.
    Yes,
    /// libvirt's schema refuses it, with these words.
    SchemaRefuses(String),
    /// It is not, since another program has changed the domain meanwhile, whose change would be lost.
    Changed,
}
