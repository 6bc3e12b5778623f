//! `vgapt undefine`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use super::exit_code::FOUND_AGAINST;
use super::shared::existing::Existing;
use crate::disk::{DiskUse, disk_uses};
use crate::domain_xml::Source;
use crate::hypervisor::Hypervisor;
use crate::model::{Finding, shell_word};
use crate::output;
use crate::problem::Problem;
use crate::xml::{Document, Element};

/// Where the system's libvirt keeps what emulated TPMs hold.
const TPM_STATES: &str = "/var/lib/libvirt/swtpm";

/// Its firmware variables, managed save and snapshot metadata go, and what its emulated TPM holds; its
/// disks stay, and are named. What cannot be had back is told first, and goes only with --force.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's name
    name: String,
    /// Forget it although something is lost with it, or that is not known
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let connection = context.connect()?;
        let name = &self.name;
        if connection.state(name)?.is_active() {
            return Err(Problem::new(format!("'{name}' runs"), format!("stop it first: vgapt stop {}", shell_word(name))).into());
        }
        let mut lost = kept_beside(connection, name);
        let disks = match Existing::open(connection, name) {
            Ok(existing) => {
                lost.extend(tpm(context, name, &existing.document));
                Ok(disk_uses(&existing.document))
            }
            Err(because) => {
                let message = format!("it is not known which disks '{name}' has, and what else is lost with it: {because:#}");
                lost.push(Finding::blocker(
                    "domain-unread",
                    message,
                    format!("see `virsh dumpxml --inactive {}`; or use --force", shell_word(name)),
                ));
                Err(())
            }
        };
        context.tell(&lost);
        if lost.iter().any(|finding| finding.refuses(self.force)) {
            output::tell(&format!("'{name}' is not undefined: see above. It goes on with --force.\n"));
            return Ok(ExitCode::from(FOUND_AGAINST));
        }
        connection.undefine(name)?;
        let disks = disks.map_or_else(|()| "; which disks it had is not known".to_owned(), |disks| words(&disks));
        context.note(&format!("'{name}' is undefined{disks}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// The saved memory and the snapshots.
fn kept_beside(connection: &dyn Hypervisor, name: &str) -> Vec<Finding> {
    let beside = match connection.beside(name) {
        Ok(beside) => beside,
        Err(because) => {
            let message = format!("it is not known whether '{name}' has a saved state or snapshots, which would be lost: {because:#}");
            return vec![Finding::blocker("beside-unknown", message, "see why libvirt does not tell; or use --force")];
        }
    };
    let word = shell_word(name);
    let saved = beside.is_saved.then(|| {
        Finding::blocker(
            "managed-save",
            format!("'{name}' is saved with its guest's memory, which is lost: what the guest had not written to its disks is gone"),
            format!("start it, and shut its guest down: vgapt start {word}, vgapt stop {word}; or use --force"),
        )
    });
    let snapshots = (!beside.snapshots.is_empty()).then(|| {
        Finding::blocker(
            "snapshots",
            format!("'{name}' has snapshots, of which libvirt then knows nothing more: {}", beside.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>().join(", ")),
            format!("see what they hold: virsh snapshot-list {word}; keep what describes them: virsh snapshot-dumpxml {word} SNAPSHOT; or use --force"),
        )
    });
    saved.into_iter().chain(snapshots).collect()
}

/// What an emulated TPM holds goes with its domain.
fn tpm(context: &Context, name: &str, domain: &Document) -> Option<Finding> {
    let root = domain.root();
    let backend = root.at("devices/tpm/backend")?;
    let is_kept = backend.attribute("persistent_state").as_deref() == Some("yes");
    if backend.attribute("type").as_deref() != Some("emulator") || is_kept {
        return None;
    }
    let is_system = context.uri().as_str() == "qemu:///system";
    let state = root.child("uuid").map(Element::text).filter(|_| is_system).map(|uuid| Path::new(TPM_STATES).join(uuid));
    // A domain that was never started has none. Of another libvirt it is not known where it would be.
    if state.is_some_and(|state| matches!(state.try_exists(), Ok(false))) {
        return None;
    }
    Some(Finding::blocker(
        "tpm-state",
        format!(
            "what the TPM of '{name}' holds goes with it, if it was ever started: a guest whose disk is locked by it (BitLocker) asks for its recovery key"
        ),
        format!("have that key, or keep the TPM's state: virsh undefine {} --nvram --keep-tpm; or use --force", shell_word(name)),
    ))
}

/// The disks that stay.
fn words(disks: &[DiskUse]) -> String {
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
    if named.is_empty() { "; it had no disks in files".to_owned() } else { format!("; its disks stay: {}", named.join(", ")) }
}
