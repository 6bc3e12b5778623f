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
        let text = connection.domain_xml(name, Secrets::LeftOut)?;
        let text = text.ok_or_else(|| {
            Problem::new(format!("there is no domain '{name}'"), format!("see `virsh list --all`, or make it: vgapt define {name}"))
        })?;
        let document = Document::parse(&text).map_err(|what| anyhow::anyhow!("libvirt's XML of '{name}' cannot be read: {what}"))?;
        Ok(Self { document })
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
