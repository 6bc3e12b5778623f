//! `vgapt undefine`.

use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::shared::existing::{self, Existing};
use super::shared::refused::Refused;
use crate::disk::{DiskUse, disk_uses};
use crate::domain_xml::Source;
use crate::hypervisor::{Hypervisor, Secrets};
use crate::model::{Finding, Next, shell_word};
use crate::output::Answer;
use crate::xml::{Document, Element};

/// Where libvirt (`qemu:///system`) stores the state of emulated TPMs.
const TPM_STATES: &str = "/var/lib/libvirt/swtpm";

/// Remove a domain, including its firmware variables; its disks are not deleted
///
/// Removes the domain with its firmware variables, managed save, snapshot metadata and TPM state; its disks are
/// listed, not deleted. What cannot be restored is reported first, and removed only with --force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vgapt undefine win11             # its disks stay")]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Remove the domain although something is lost, or may be lost
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer> {
        let connection = context.connect()?;
        let name = &self.name;
        // One that cannot be read may be undefined.
        if matches!(connection.domain_xml(name, Secrets::LeftOut), Ok(None)) {
            return Err(existing::none(connection, name).into());
        }
        if connection.state(name)?.is_active() {
            let (seen, stop) = (format!("'{name}' is running"), format!("vgapt stop {}", shell_word(name)));
            let next = Some(Next::command(stop.clone(), "then undefine it"));
            let findings = vec![Finding::error("in-use", seen, format!("stop it first: {stop}"))];
            return Err(Refused { findings, end: String::new(), next }.into());
        }
        let mut lost = kept_beside(connection, name);
        let disks = match Existing::open(connection, name) {
            Ok(existing) => {
                lost.extend(tpm(context, name, &existing.document));
                Ok(disk_uses(&existing.document))
            }
            Err(because) => {
                let message = format!("it is unknown which disks '{name}' has, and what else would be lost: {because:#}");
                lost.push(Finding::blocked(
                    "domain-unread",
                    message,
                    format!("see `virsh dumpxml --inactive {}`; or use --force", shell_word(name)),
                ));
                Err(())
            }
        };
        if lost.iter().any(|finding| finding.refuses(self.force)) {
            return Err(Refused {
                findings: lost,
                end: format!("'{name}' was not undefined: see above; use --force to override."),
                next: None,
            }
            .into());
        }
        context.tell(&lost);
        connection.undefine(name)?;
        let disks = disks.ok().map(|disks| named(&disks));
        let told = match disks.as_deref() {
            None => "; which disks it had is unknown".to_owned(),
            Some([]) => "; it had no disks in files".to_owned(),
            Some(disks) => format!("; its disks are not deleted: {}", disks.join(", ")),
        };
        context.note(&format!("'{name}' is undefined{told}"));
        Ok(Answer::done(Undefined { name: name.clone(), disks }).finding(lost))
    }
}

/// What `vgapt undefine` answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Undefined {
    name: String,
    /// Its disks in files and storage pools, which are not deleted; null where they are unknown.
    disks: Option<Vec<String>>,
}

/// Findings about saved memory and snapshots.
fn kept_beside(connection: &dyn Hypervisor, name: &str) -> Vec<Finding> {
    let beside = match connection.beside(name) {
        Ok(beside) => beside,
        Err(because) => {
            let message = format!("it is unknown whether '{name}' has a saved state or snapshots, which would be lost: {because:#}");
            return vec![Finding::blocked("beside-unknown", message, "see the error above; or use --force")];
        }
    };
    let word = shell_word(name);
    let saved = beside.is_saved.then(|| {
        Finding::blocked(
            "managed-save",
            format!("'{name}' has a managed save, which would be lost, with all data that the guest has not written to its disks"),
            format!("start it and shut its guest down: vgapt start {word}, vgapt stop {word}; or use --force"),
        )
    });
    let snapshots = (!beside.snapshots.is_empty()).then(|| {
        Finding::blocked(
            "snapshots",
            format!(
                "'{name}' has snapshots, whose metadata would be lost: {}",
                beside.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
            format!("list them: virsh snapshot-list {word}; save their metadata: virsh snapshot-dumpxml {word} SNAPSHOT; or use --force"),
        )
    });
    saved.into_iter().chain(snapshots).collect()
}

/// The state of an emulated TPM is removed with its domain.
fn tpm(context: &Context, name: &str, domain: &Document) -> Option<Finding> {
    let root = domain.root();
    let backend = root.at("devices/tpm/backend")?;
    let is_kept = backend.attribute("persistent_state").as_deref() == Some("yes");
    if backend.attribute("type").as_deref() != Some("emulator") || is_kept {
        return None;
    }
    let is_system = context.uri().as_str() == "qemu:///system";
    let state = root.child("uuid").map(Element::text).filter(|_| is_system).map(|uuid| Path::new(TPM_STATES).join(uuid));
    // A domain that was never started has no TPM state. For another libvirt, its place is unknown.
    if state.is_some_and(|state| matches!(state.try_exists(), Ok(false))) {
        return None;
    }
    Some(Finding::blocked(
        "tpm-state",
        format!(
            "the TPM state of '{name}' would be lost, if it was ever started: a guest whose disk it unlocks (BitLocker) will ask for its recovery key"
        ),
        format!("have that key ready, or keep the TPM state: virsh undefine {} --nvram --keep-tpm; or use --force", shell_word(name)),
    ))
}

/// The disks that are not deleted.
fn named(disks: &[DiskUse]) -> Vec<String> {
    let mut named: Vec<String> = disks
        .iter()
        .filter_map(|disk| match &disk.source {
            Source::Path(path) => Some(path.clone()),
            Source::Volume { pool, volume } => Some(format!("{volume} of the storage pool {pool}")),
            Source::Remote { .. } | Source::Nvme(_) => None,
        })
        .collect();
    named.sort();
    named.dedup();
    named
}
