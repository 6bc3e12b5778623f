//! The values in questions and answers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is running.
    Running,
    /// It exists, but its virtual CPUs are stopped.
    Paused,
    /// It is shutting down.
    ShuttingDown,
    /// It is off.
    ShutOff,
    /// Its guest has crashed.
    Crashed,
}

impl State {
    /// Whether it has a QEMU process.
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

/// Whether a domain's XML contains its passwords. Defining an XML without them deletes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub enum Secrets {
    /// With passwords, to define the XML again.
    Included,
    /// Without passwords, to show the XML.
    LeftOut,
}

/// A domain as libvirt describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Its inactive XML; if it is running, also its active XML.
    pub xml: Vec<String>,
}

/// An address of a guest, without the loopback's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct GuestAddress {
    /// The address.
    pub address: String,
    /// Who knows it: `lease` (a network of libvirt's), `agent`, `arp` (the host's table of neighbours).
    pub source: String,
}

/// The domains, and those that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
pub struct Domains {
    /// The domains that were read.
    pub known: Vec<Known>,
    /// Those that exist but could not be read: what they use is unknown.
    pub unread: Vec<Unread>,
}

/// The storage pools, and those that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
pub struct Pools {
    /// The pools, with what is known about each.
    pub known: Vec<Pool>,
    /// Those that could not be read, refreshed or listed completely.
    pub unread: Vec<Unread>,
}

/// Something that exists but could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Unread {
    /// Its name.
    pub name: String,
    /// Why it could not be read.
    pub because: String,
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The folder of its volumes, if it has one.
    pub target: Option<String>,
    /// Its volumes, as far as it could be listed.
    pub volumes: Vec<Volume>,
}

/// A volume of a storage pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// Its path.
    pub path: String,
}

/// What libvirt keeps of a domain beside its XML and firmware variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize)]
pub struct SavedData {
    /// Whether it has a managed save: the guest's memory, which the next start restores.
    pub is_saved: bool,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its XML, which names the overlays of the snapshot.
    pub xml: String,
}

/// The result of defining a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub enum Defined {
    /// It is defined.
    Yes,
    /// libvirt's schema refuses it, with this message.
    SchemaRefuses(String),
    /// It is not defined: another program has changed the domain in the meantime, and that change would be lost.
    Changed,
}
