//! An existing domain, whether vgapt defined it or not.

use anyhow::{Error, Result};

use super::refused::Refused;
use crate::domain::{self, HostResources, Passed, PassedTo, Record};
use crate::hypervisor::{Hypervisor, Secrets};
use crate::model::{Finding, Host, PciAddress, Reading, RecordedGroup, Uses, shell_word};
use crate::problem::Problem;
use crate::xml::Document;

/// A domain in libvirt.
pub(in crate::commands) struct Existing {
    /// Its inactive XML, as libvirt returned it.
    pub(in crate::commands) text: String,
    /// The same, parsed.
    pub(in crate::commands) document: Document,
    /// vgapt's record in it.
    pub(in crate::commands) record: Option<Record>,
}

impl Existing {
    pub(in crate::commands) fn open(connection: &dyn Hypervisor, name: &str) -> Result<Self> {
        Self::open_with(connection, name, Secrets::LeftOut)
    }

    pub(in crate::commands) fn open_with(connection: &dyn Hypervisor, name: &str, secrets: Secrets) -> Result<Self> {
        let existing = Self::find(connection, name, secrets)?;
        Ok(existing.ok_or_else(|| none(connection, name))?)
    }

    /// The domain of this name, if it exists.
    ///
    /// # Errors
    /// Where its XML or vgapt's record in it cannot be read: what vgapt changed in it is then unknown, and every
    /// command stops.
    pub(in crate::commands) fn find(connection: &dyn Hypervisor, name: &str, secrets: Secrets) -> Result<Option<Self>> {
        connection.domain_xml(name, secrets)?.map(|text| Self::of(name, text)).transpose()
    }

    /// The domain of this XML.
    pub(in crate::commands) fn of(name: &str, text: String) -> Result<Self> {
        let document = Document::parse(&text).map_err(|what| anyhow::anyhow!("libvirt's XML of '{name}' cannot be read: {what}"))?;
        let record = known(Record::of(&document), name)?;
        Ok(Self { text, document, record })
    }

    /// vgapt's record in it; an error if it has none.
    pub(in crate::commands) fn managed(&self, name: &str) -> Result<&Record> {
        let none = || {
            let remedy = format!("add a card to it: vgapt attach {} --gpu auto", shell_word(name));
            Refused::from(Finding::error("not-managed", format!("'{name}' is not managed by vgapt"), remedy))
        };
        Ok(self.record.as_ref().ok_or_else(none)?)
    }

    /// What it takes from the host while it runs, if vgapt manages it.
    ///
    /// # Errors
    /// Where that is unknown: libvirt's hook would refuse the start, or not know what to reserve.
    pub(in crate::commands) fn needs(&self, name: &str) -> Result<Option<HostResources>> {
        known(domain::needs(&self.document), name)
    }

    /// The PCI functions that are passed through to it; with the recorded ids for those that vgapt added.
    pub(in crate::commands) fn passed(&self) -> Vec<Passed> {
        let recorded = self.record.as_ref().map(|record| record.passed.as_slice()).unwrap_or_default();
        domain::passed(&self.document, recorded)
    }

    pub(in crate::commands) fn functions(&self) -> Vec<PciAddress> {
        self.passed().iter().map(|passed| passed.address).collect()
    }

    pub(in crate::commands) fn is_handed_over(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.request.handover)
    }

    /// What its devices on this host have against its start.
    pub(in crate::commands) fn against_start(&self, name: &str, host: &Host, uses: &Uses) -> Vec<Finding> {
        let passed = self.passed();
        let mut findings = domain::of_functions(&PassedTo { name, passed: &passed, groups: self.groups() }, host, uses);
        // A display that is handed over is returned.
        findings.retain(|finding| finding.code != "only-display" || !self.is_handed_over());
        findings
    }

    /// The IOMMU groups of these, as vgapt recorded them.
    pub(in crate::commands) fn groups(&self) -> &[RecordedGroup] {
        self.record.as_ref().map(|record| record.groups.as_slice()).unwrap_or_default()
    }
}

/// The XML of the running domain; `None` where it ended meanwhile.
pub(in crate::commands) fn running_xml(connection: &dyn Hypervisor, name: &str) -> Result<Option<Document>> {
    let known = connection.domains()?.known.into_iter().find(|known| known.name == name && known.xml.len() > 1);
    Ok(known.and_then(|known| Document::parse(known.xml.last()?).ok()))
}

/// No domain has this name.
pub(in crate::commands) fn none(connection: &dyn Hypervisor, name: &str) -> Problem {
    Problem::new(format!("there is no domain '{name}'"), others(connection, name))
}

/// What to do where no domain has this name. Not `virsh list`: for a user other than root it connects to another libvirt.
fn others(connection: &dyn Hypervisor, name: &str) -> String {
    let make = format!("create it: vgapt define {}", shell_word(name));
    match connection.domains() {
        Ok(all) if all.known.is_empty() && all.unread.is_empty() => format!("no domain is defined here; {make}"),
        Ok(all) => {
            let unread = all.unread.into_iter().map(|unread| unread.name);
            let names: Vec<String> = all.known.into_iter().map(|known| known.name).chain(unread).collect();
            format!("the domains here are {}; or {make}", names.join(", "))
        }
        Err(error) => format!("the domains could not be listed ({error:#}); or {make}"),
    }
}

/// What was read of a domain; an error where it is unknown.
fn known<T>(reading: Reading<T>, name: &str) -> Result<Option<T>> {
    reading.into_result().map_err(|because| {
        let finding = domain::unreadable(name, &because);
        Problem::new(finding.message, finding.remedy).into()
    })
}

/// Another program has changed the domain since it was read.
pub(in crate::commands) fn changed(name: &str) -> Error {
    let message = format!("another program changed '{name}' in the meantime; nothing was defined");
    Problem::new(message, "run the command again: it reads the domain again").into()
}
