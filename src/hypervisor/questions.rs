//! The table of questions to libvirt: the trait, the client's calls and the helper program's answers are generated
//! from it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::values::{Defined, Domains, GuestAddress, Pools, SavedData, Secrets, State};
use crate::model::Libvirt;

/// Time limit for most questions. After an update, the first one waits until libvirt has probed QEMU.
const QUESTION: Duration = Duration::from_secs(120);
/// Time limit for a start: hundreds of GiB of memory may be cleared and pinned, and hooks run.
const START: Duration = Duration::from_secs(3600);
/// Time limit for stopping a domain.
const STOP: Duration = Duration::from_secs(300);

/// A question to libvirt.
pub(super) struct Question {
    /// Its name.
    pub(super) name: &'static str,
    /// What libvirt is doing, for error messages.
    pub(super) doing: &'static str,
    /// Time limit.
    pub(super) limit: Duration,
}

/// An argument of a question. The helper deserialises it into an owned value, and passes a reference of it to libvirt.
trait Argument<'a>: Sized {
    type Owned: DeserializeOwned;
    fn borrow(owned: &'a Self::Owned) -> Self;
}

impl<'a> Argument<'a> for &'a str {
    type Owned = String;
    fn borrow(owned: &'a String) -> Self {
        owned
    }
}

impl<'a> Argument<'a> for Option<&'a str> {
    type Owned = Option<String>;
    fn borrow(owned: &'a Option<String>) -> Self {
        owned.as_deref()
    }
}

impl Argument<'_> for bool {
    type Owned = bool;
    fn borrow(owned: &bool) -> Self {
        *owned
    }
}

impl Argument<'_> for Secrets {
    type Owned = Secrets;
    fn borrow(owned: &Secrets) -> Self {
        *owned
    }
}

/// Asks one question and returns its answer; arguments and answers are JSON.
pub(super) trait Ask {
    fn ask<T: DeserializeOwned>(&self, question: &Question, arguments: Value) -> Result<T>;
}

macro_rules! questions {
    ($($(#[$help:meta])* $limit:ident $doing:literal $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        /// A connection to a hypervisor.
        pub trait Hypervisor {
            $($(#[$help])* fn $name(&self, $($argument: $kind),*) -> Result<$answer>;)*
        }

        impl<T: Ask> Hypervisor for T {
            $(fn $name(&self, $($argument: $kind),*) -> Result<$answer> {
                let question = Question { name: stringify!($name), doing: $doing, limit: $limit };
                self.ask(&question, serde_json::json!([$($argument),*]))
            })*
        }

        /// Answers the question of this name.
        ///
        /// # Errors
        /// Where libvirt refuses, or where there is no such question.
        pub(super) fn answer(hypervisor: &dyn Hypervisor, name: &str, arguments: Value) -> Result<Value> {
            match name {
                $(stringify!($name) => {
                    let [$($argument),*] = list(arguments)?;
                    $(let $argument = serde_json::from_value::<<$kind as Argument>::Owned>($argument).context("an argument has an unexpected type")?;)*
                    let answer = hypervisor.$name($(<$kind as Argument>::borrow(&$argument)),*)?;
                    serde_json::to_value(answer).context("plain data serialises")
                })*
                _ => anyhow::bail!("unknown question '{name}'"),
            }
        }
    };
}

/// Exactly this many arguments.
fn list<const N: usize>(arguments: Value) -> Result<[Value; N]> {
    let arguments: Vec<Value> = serde_json::from_value(arguments).context("the arguments are not a list")?;
    arguments.try_into().map_err(|_| anyhow::anyhow!("the question takes {N} arguments"))
}

questions! {
    /// The driver's name: `QEMU`, `TEST`, …
    QUESTION "asking for its driver" driver() -> String;
    /// The XML of all PCI and USB node devices.
    QUESTION "listing the host's devices" node_devices() -> Vec<String>;
    /// Its version, and the capabilities of its QEMU.
    QUESTION "reading its capabilities" abilities() -> Libvirt;
    /// The version of its QEMU, in its form of versions; `None` where it is unknown.
    QUESTION "asking for QEMU's version" qemu_version() -> Option<u64>;
    /// The firmware images that it offers for a q35 machine; none where they are unknown.
    QUESTION "asking for its firmware" loaders() -> Vec<String>;
    /// The inactive XML of a domain; `None` where it does not exist.
    QUESTION "reading a domain" domain_xml(name: &str, secrets: Secrets) -> Option<String>;
    /// All domains; one that is undefined meanwhile is omitted, one that cannot be read is reported.
    QUESTION "listing the domains" domains() -> Domains;
    /// The virtual networks, each with whether it is active; `None` where they are unknown.
    QUESTION "listing the networks" networks() -> Option<Vec<(String, bool)>>;
    /// All storage pools, active or not, with their volumes; none where the driver has no pools.
    QUESTION "listing the storage pools" pools() -> Pools;
    /// The QEMU command line that it would run for this XML.
    QUESTION "translating a domain" native(xml: &str) -> String;
    /// What the schema has against this XML; `None` where nothing, or where no schema is installed for this libvirt.
    QUESTION "checking a domain" schema(xml: &str) -> Option<String>;
    /// Defines a domain if it is unchanged since it was read (`before`; `None` if it did not exist). The schema is checked
    /// first, which keeps the time between comparison and definition short: libvirt cannot do both atomically.
    QUESTION "defining a domain" define(name: &str, before: Option<&str>, xml: &str) -> Defined;
    /// The same without the schema check; libvirt drops the elements that it does not know.
    QUESTION "defining a domain" define_unchecked(name: &str, before: Option<&str>, xml: &str) -> Defined;
    /// The state of a domain.
    QUESTION "asking for a domain's state" state(name: &str) -> State;
    /// Starts a domain; `paused`: stopped before its first instruction.
    START "starting a domain" start(name: &str, paused: bool) -> ();
    /// Whether the domain starts with the host.
    QUESTION "asking for a domain's autostart" autostart(name: &str) -> bool;
    /// Sets whether the domain starts with the host.
    QUESTION "setting a domain's autostart" set_autostart(name: &str, wanted: bool) -> ();
    /// The guest's clock, since 1970, as its agent says it; `None` where no agent answers.
    QUESTION "asking the guest's agent" guest_time(name: &str) -> Option<Duration>;
    /// The addresses that the running domain has leased from libvirt's networks; after a start, those of its last run
    /// until it renews them. `None` where they are unknown.
    QUESTION "asking for addresses" leases(name: &str) -> Option<Vec<String>>;
    /// The addresses of the running domain, as its networks, its agent (if it is connected) and the host's table of
    /// neighbours know them. `None` where none of them could be asked.
    QUESTION "asking for addresses" addresses(name: &str, has_agent: bool) -> Option<Vec<GuestAddress>>;
    /// Asks the guest to shut down.
    STOP "asking a guest to shut down" shut_down(name: &str) -> ();
    /// Powers a domain off.
    STOP "stopping a domain" destroy(name: &str) -> ();
    /// What is lost when a domain is undefined, besides its XML and firmware variables.
    QUESTION "asking for a domain's snapshots" beside(name: &str) -> SavedData;
    /// Undefines a domain, including its firmware variables, managed save and snapshot metadata.
    QUESTION "undefining a domain" undefine(name: &str) -> ();
    /// The names of what libvirt's parser would drop from this XML; `None` where it refuses the whole XML.
    QUESTION "parsing a domain" dropped(xml: &str) -> Option<Vec<String>>;
}
