//! A domain that exists, whoever defined it.

use anyhow::{Error, Result};

use crate::domain::{self, Needs, Passed, Record};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::model::{Reading, shell_word};
use crate::problem::Problem;
use crate::xml::Document;

/// A domain as libvirt has it.
pub(in crate::commands) struct Existing {
    /// Its inactive XML, as libvirt gave it.
    pub(in crate::commands) text: String,
    /// The same, parsed.
    pub(in crate::commands) document: Document,
    /// What vgapt remembers of it.
    record: Option<Record>,
}

impl Existing {
    pub(in crate::commands) fn open(connection: &dyn Hypervisor, name: &str) -> Result<Self> {
        Self::open_with(connection, name, Secrets::LeftOut)
    }

    pub(in crate::commands) fn open_with(connection: &dyn Hypervisor, name: &str, secrets: Secrets) -> Result<Self> {
        let existing = Self::find(connection, name, secrets)?;
        Ok(existing.ok_or_else(|| Problem::new(format!("there is no domain '{name}'"), others(connection, name)))?)
    }

    /// The domain of this name, if there is one.
    ///
    /// # Errors
    /// Where its XML or vgapt's record in it cannot be read: then nothing is known of what vgapt did there, and no
    /// command goes on.
    pub(in crate::commands) fn find(connection: &dyn Hypervisor, name: &str, secrets: Secrets) -> Result<Option<Self>> {
        let Some(text) = connection.domain_xml(name, secrets)? else { return Ok(None) };
        let document = Document::parse(&text).map_err(|what| anyhow::anyhow!("libvirt's XML of '{name}' cannot be read: {what}"))?;
        let record = known(Record::of(&document), name)?;
        Ok(Some(Self { text, document, record }))
    }

    /// What vgapt remembers of it.
    pub(in crate::commands) fn record(&self, name: &str) -> Result<&Record> {
        let none = || {
            Problem::new(
                format!("vgapt has not been at work in '{name}'"),
                format!("vgapt attach {} --gpu … gives it a card", shell_word(name)),
            )
        };
        Ok(self.record.as_ref().ok_or_else(none)?)
    }

    /// What it takes from the host while it runs, where vgapt has been at work in it.
    ///
    /// # Errors
    /// Where that cannot be told: libvirt's hook would refuse it, or not know what to reserve.
    pub(in crate::commands) fn needs(&self, name: &str) -> Result<Option<Needs>> {
        known(domain::needs(&self.document), name)
    }

    /// The PCI functions that it is given, with the ids that were recorded for those of vgapt's.
    pub(in crate::commands) fn passed(&self) -> Vec<Passed> {
        let recorded = self.record.as_ref().map(|record| record.passed.as_slice()).unwrap_or_default();
        domain::passed(&self.document, recorded)
    }
}

/// What to do where there is no domain of this name. `virsh list` would ask another libvirt for a user.
fn others(connection: &dyn Hypervisor, name: &str) -> String {
    let make = format!("make it: vgapt define {}", shell_word(name));
    match connection.domains() {
        Ok(all) if all.known.is_empty() && all.unread.is_empty() => format!("there is no domain at all here; {make}"),
        Ok(all) => {
            let unread = all.unread.into_iter().map(|unread| unread.name);
            let names: Vec<String> = all.known.into_iter().map(|known| known.name).chain(unread).collect();
            format!("the domains here are {}; or {make}", names.join(", "))
        }
        Err(error) => format!("which domains there are could not be told ({error:#}); or {make}"),
    }
}

/// What was read of a domain, if it is there.
fn known<T>(reading: Reading<T>, name: &str) -> Result<Option<T>> {
    reading.into_result().map_err(|because| {
        let finding = domain::unreadable(name, &because);
        Problem::new(finding.message, finding.remedy).into()
    })
}

/// Another program has changed the domain since it was read.
pub(in crate::commands) fn changed(name: &str) -> Error {
    let message = format!("'{name}' was changed by another program meanwhile; nothing was defined");
    Problem::new(message, "run it again: it starts from the domain as it is now").into()
}
