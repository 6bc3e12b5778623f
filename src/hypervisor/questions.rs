//! The questions to libvirt, each once: the trait, the calls of the client and the answers of the
//! helper program are made of this one table.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::values::{Beside, Defined, Domains, Pools, Secrets, State};
use crate::model::Libvirt;

/// A question, or a change of what is defined. The first one after an update waits until QEMU was probed.
const QUESTION: Duration = Duration::from_secs(120);
/// The start of a domain: hundreds of GiB of memory are cleared and pinned, and hooks run.
const START: Duration = Duration::from_secs(3600);
/// The end of a domain.
const STOP: Duration = Duration::from_secs(300);

/// How a question is asked.
pub(super) struct Question {
    /// Its name.
    pub(super) name: &'static str,
    /// What libvirt does meanwhile.
    pub(super) doing: &'static str,
    /// How long it may take.
    pub(super) limit: Duration,
}

/// An argument of a question. The helper keeps its own copy while it asks libvirt.
trait Argument<'a>: Sized {
    type Kept: DeserializeOwned;
    fn lent(kept: &'a Self::Kept) -> Self;
}

impl<'a> Argument<'a> for &'a str {
    type Kept = String;
    fn lent(kept: &'a String) -> Self {
        kept
    }
}

impl<'a> Argument<'a> for Option<&'a str> {
    type Kept = Option<String>;
    fn lent(kept: &'a Option<String>) -> Self {
        kept.as_deref()
    }
}

impl Argument<'_> for bool {
    type Kept = bool;
    fn lent(kept: &bool) -> Self {
        *kept
    }
}

impl Argument<'_> for Secrets {
    type Kept = Secrets;
    fn lent(kept: &Secrets) -> Self {
        *kept
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
                    $(let $argument = serde_json::from_value::<<$kind as Argument>::Kept>($argument).context("an argument is of another kind")?;)*
                    let answer = hypervisor.$name($(<$kind as Argument>::lent(&$argument)),*)?;
                    serde_json::to_value(answer).context("plain data serialises")
                })*
                _ => anyhow::bail!("there is no question '{name}'"),
            }
        }
    };
}

/// So many arguments.
fn list<const N: usize>(arguments: Value) -> Result<[Value; N]> {
    let arguments: Vec<Value> = serde_json::from_value(arguments).context("the arguments are no list")?;
    arguments.try_into().map_err(|_| anyhow::anyhow!("the question takes {N} arguments"))
}

questions! {
    /// The driver's name: `QEMU`, `TEST`, …
    QUESTION "asking for its driver" driver() -> String;
    /// The XML of all PCI and USB node devices.
    QUESTION "listing the host's devices" node_devices() -> Vec<String>;
    /// Its version, and what its QEMU can.
    QUESTION "asking what it can do" abilities() -> Libvirt;
    /// The firmware images that it offers for a q35 machine; none where it cannot tell.
    QUESTION "asking for its firmware" loaders() -> Vec<String>;
    /// The inactive XML of a domain; `None` where there is no such domain.
    QUESTION "reading a domain" domain_xml(name: &str, secrets: Secrets) -> Option<String>;
    /// All domains; one that goes meanwhile is left out, one that cannot be read is named.
    QUESTION "listing the domains" domains() -> Domains;
    /// The virtual networks, each with whether it is active; `None` where it cannot tell.
    QUESTION "listing the networks" networks() -> Option<Vec<(String, bool)>>;
    /// All storage pools, active or not, with their volumes; none where the driver has no pools.
    QUESTION "listing the storage pools" pools() -> Pools;
    /// The command line that it would run for this XML.
    QUESTION "translating a domain" native(xml: &str) -> String;
    /// Defines a domain that is still as it was read; `None`: that was not there. The schema is asked before that, so
    /// that next to no time is left for others between the comparison and the definition: libvirt cannot do both at once.
    QUESTION "defining a domain" define(name: &str, before: Option<&str>, xml: &str) -> Defined;
    /// The same although the schema refuses it; what libvirt does not know is lost.
    QUESTION "defining a domain" define_unchecked(name: &str, before: Option<&str>, xml: &str) -> Defined;
    /// What a domain is doing.
    QUESTION "asking for a domain's state" state(name: &str) -> State;
    /// Starts a domain; paused: before its first instruction.
    START "starting a domain" start(name: &str, paused: bool) -> ();
    /// Whether the domain starts with the host.
    QUESTION "asking for a domain's autostart" autostart(name: &str) -> bool;
    /// Lets the domain start with the host, or no more.
    QUESTION "setting a domain's autostart" set_autostart(name: &str, wanted: bool) -> ();
    /// Whether the agent in the guest answers.
    QUESTION "asking the guest's agent" agent_answers(name: &str) -> bool;
    /// The addresses that libvirt's networks have given out to the running domain; after a restart
    /// those of its last run, until it asks anew. `None` where it cannot tell.
    QUESTION "asking for addresses" leases(name: &str) -> Option<Vec<String>>;
    /// Asks the guest to shut down.
    STOP "asking a guest to shut down" shut_down(name: &str) -> ();
    /// Pulls the plug.
    STOP "stopping a domain" destroy(name: &str) -> ();
    /// What of a domain goes with it when it is forgotten, beside its XML and firmware variables.
    QUESTION "asking for a domain's snapshots" beside(name: &str) -> Beside;
    /// Forgets a domain, its firmware variables, managed save and snapshot metadata included.
    QUESTION "undefining a domain" undefine(name: &str) -> ();
    /// What libvirt's parser would drop of this XML, by name; `None` where it refuses the whole.
    QUESTION "parsing a domain" dropped(xml: &str) -> Option<Vec<String>>;
}
