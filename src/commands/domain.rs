//! A domain that exists, whoever defined it.

use anyhow::Result;

use crate::domain::{self, Passed, Record};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::problem::Problem;
use crate::xml::Document;

/// A domain as libvirt has it.
pub(super) struct Existing {
    /// Its inactive XML.
    pub(super) document: Document,
}

impl Existing {
    pub(super) fn open(connection: &dyn Hypervisor, name: &str) -> Result<Self> {
        Self::open_with(connection, name, Secrets::LeftOut)
    }

    pub(super) fn open_with(connection: &dyn Hypervisor, name: &str, secrets: Secrets) -> Result<Self> {
        let text = connection.domain_xml(name, secrets)?;
        let Some(text) = text else {
            return Err(Problem::new(format!("there is no domain '{name}'"), others(connection, name)).into());
        };
        let document = Document::parse(&text).map_err(|what| anyhow::anyhow!("libvirt's XML of '{name}' cannot be read: {what}"))?;
        Ok(Self { document })
    }

    /// What vgapt remembers of it.
    pub(super) fn record(&self, name: &str) -> Result<Record> {
        let record = Record::of(&self.document);
        let none =
            || Problem::new(format!("vgapt has not been at work in '{name}'"), format!("vgapt attach {name} --gpu … gives it a card"));
        Ok(record.ok_or_else(none)?)
    }

    /// The PCI functions that it passes, with the ids that were recorded for those of vgapt's.
    pub(super) fn passed(&self) -> Vec<Passed> {
        let recorded = Record::of(&self.document).map(|record| record.passed).unwrap_or_default();
        let of = |address| {
            recorded.iter().find(|passed| passed.address == address).copied().unwrap_or(Passed { address, id: None, subsystem: None })
        };
        domain::passed_functions(&self.document).into_iter().map(of).collect()
    }
}

/// What to do where there is no domain of this name. `virsh list` would ask another libvirt for a user.
fn others(connection: &dyn Hypervisor, name: &str) -> String {
    let make = format!("make it: vgapt define {name}");
    match connection.domains() {
        Ok(known) if known.is_empty() => format!("there is no domain at all here; {make}"),
        Ok(known) => {
            let names: Vec<String> = known.into_iter().map(|known| known.name).collect();
            format!("the domains here are {}; or {make}", names.join(", "))
        }
        Err(error) => format!("which domains there are could not be told ({error:#}); or {make}"),
    }
}
